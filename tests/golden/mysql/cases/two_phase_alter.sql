-- servers: mariadb
create table t (id int primary key, v int);
insert into t values (1, 1);
-- stream
set session binlog_alter_two_phase = on;
alter table t add column w int;
insert into t values (2, 2, 2);
set session binlog_alter_two_phase = off;
alter table t add column x int;
