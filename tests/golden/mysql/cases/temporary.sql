-- servers: mariadb
-- A transaction that is rolled back is in the log as a whole if a temporary table came or went in it.
create table t (id int primary key);
-- stream
begin;
insert into t values (1);
create temporary table scratch (a int);
insert into t values (2);
rollback;
insert into t values (3);
begin;
insert into t values (4);
drop temporary table scratch;
savepoint s;
insert into t values (5);
rollback to s;
insert into t values (6);
commit;
