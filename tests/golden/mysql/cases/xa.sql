create table t (id int primary key);
-- stream
xa start 'one', 'branch', 7;
insert into t values (1);
xa end 'one', 'branch', 7;
xa prepare 'one', 'branch', 7;
-- session b
insert into t values (100);
-- session main
xa commit 'one', 'branch', 7;
xa start X'00ff27', X'', 1;
insert into t values (2);
xa end X'00ff27', X'', 1;
xa prepare X'00ff27', X'', 1;
xa rollback X'00ff27', X'', 1;
xa start 'phase';
insert into t values (3);
xa end 'phase';
xa commit 'phase' one phase;
