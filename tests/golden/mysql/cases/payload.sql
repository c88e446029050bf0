-- servers: mysql
-- Transaction payloads: rows, XA in both forms; DDL stays outside.
create table t (id int primary key, v varchar(4000));
-- stream
set binlog_transaction_compression = on;
insert into t values (1, repeat('a', 4000)), (2, 'short'), (3, repeat('b', 4000));
begin;
update t set v = concat(v, '!') where id = 2;
delete from t where id = 3;
commit;
alter table t add column w int;
xa start 'one';
insert into t values (4, 'x', 4);
xa end 'one';
xa prepare 'one';
xa commit 'one';
xa start 'phase';
insert into t values (5, 'x', 5);
xa end 'phase';
xa commit 'phase' one phase;
set gtid_next = 'automatic:tagged';
insert into t values (6, 'x', 6);
