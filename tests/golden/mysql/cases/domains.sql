-- servers: mariadb
create table t (id int primary key);
insert into t values (0);
-- stream
insert into t values (1);
set session gtid_domain_id = 5;
insert into t values (2);
set session gtid_domain_id = 4294967295;
create table u (id int);
set session gtid_domain_id = 0;
set session skip_replication = 1;
insert into t values (3);
set session skip_replication = 0;
create table s as select * from t;
