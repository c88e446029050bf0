-- Real and artificial ROTATE, a checkpoint, the format of a second file.
create table t (id int primary key);
-- stream
insert into t values (1);
flush binary logs;
insert into t values (2);
