-- servers: mysql
create table t (id int primary key);
-- stream
insert into t values (1);
set gtid_next = 'automatic:tail_water';
insert into t values (2);
set gtid_next = '11111111-2222-3333-ff44-555555555555:tt:8';
insert into t values (3);
set gtid_next = automatic;
insert into t values (4);
flush binary logs;
insert into t values (5);
