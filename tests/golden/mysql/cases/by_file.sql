-- start: file
-- A start by file and position, in the middle of a file.
create table t (id int primary key);
-- stream
insert into t values (1);
insert into t values (2);
