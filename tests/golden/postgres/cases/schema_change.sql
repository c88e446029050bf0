create table t (id int primary key, a int, b text);
-- stream
insert into t values (1, 1, 'one');
alter table t add column c numeric(5,1) not null default 7;
insert into t values (2, 2, 'two');
update t set a = 10 where id = 1;
alter table t drop column a;
insert into t values (3, 'three');
begin; insert into t values (4, 'four'); alter table t rename column b to label; insert into t values (5, 'five'); commit;
alter table t alter column id type bigint;
insert into t values (6000000000, 'six');
alter table t rename to renamed;
insert into renamed values (7, 'seven');
begin; alter table renamed add column gone int; insert into renamed values (8, 'undone', 1, 1); rollback;
insert into renamed values (9, 'nine');
drop table renamed;
create table renamed (other text primary key);
insert into renamed values ('a new table');
