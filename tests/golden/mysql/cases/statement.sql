-- Statement format, as a session can have it: Intvar, Rand, User_var, a query with the rows not in the log.
create table t (id int primary key auto_increment, v double);
-- stream
set session binlog_format = statement;
insert into t (v) values (1);
insert into t (v) values (rand());
set @a = 5;
insert into t (v) values (@a);
update t set v = 2 where id = 1;
set session binlog_format = row;
insert into t (v) values (3);
