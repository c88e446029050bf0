-- What a group can be: rows, DDL, rolled back, empty, several statements, a savepoint.
create table t (id int primary key, v varchar(20));
create table u (id int unsigned primary key, name varchar(20) character set latin1);
-- stream
insert into t values (1, 'one'), (2, null);
begin;
update t set v = 'zwei' where id = 2;
insert into u values (1, 'Müller');
delete from t where id = 1;
commit;
begin;
insert into t values (3, 'never');
rollback;
begin;
insert into t values (4, 'kept');
savepoint a;
insert into t values (5, 'undone');
rollback to a;
insert into t values (6, 'kept');
commit;
alter table t add column extra int default 7;
insert into t (id) values (7);
truncate table u;
-- only mysql
set gtid_next = '11111111-2222-3333-4444-555555555555:1000';
begin;
commit;
set gtid_next = automatic;
-- end
drop table u;
