-- Row images other than FULL, in one log.
create table t (id int primary key, a int, b text, c varchar(10) not null default 'd');
-- stream
insert into t (id, a) values (1, 1);
set session binlog_row_image = minimal;
insert into t (id, a) values (2, 2);
update t set a = 3 where id = 1;
delete from t where id = 1;
set session binlog_row_image = noblob;
insert into t (id, b) values (4, 'blob');
update t set a = 3 where id = 4;
update t set b = 'other' where id = 4;
delete from t where id = 4;
