-- servers: mariadb
-- Rows that ROLLBACK TO undoes are in the log if a table without transactions was touched.
create table t (id int primary key) engine=InnoDB;
create table m (id int primary key) engine=MyISAM;
-- stream
begin;
insert into t values (1);
savepoint `a b`;
insert into t values (2);
insert into m values (1);
insert into t values (3);
rollback to `a b`;
insert into t values (4);
commit;
begin;
insert into t values (5);
insert into m values (2);
rollback;
insert into m values (3);
