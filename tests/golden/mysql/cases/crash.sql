-- A killed server begins a new file.
create table t (id int primary key);
-- stream
insert into t values (1);
-- kill server
insert into t values (2);
