-- servers: mysql
-- settings: gtid_mode=OFF enforce_gtid_consistency=OFF
-- start: file
-- Anonymous groups.
create table t (id int primary key);
-- stream
insert into t values (1);
create table t2 (id int);
