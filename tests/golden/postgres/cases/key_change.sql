create table pairs (a int, b text, note text, primary key (a, b));
-- stream
insert into pairs values (1, 'x', 'first'), (2, 'y', null);
update pairs set a = 10 where a = 1;
update pairs set b = 'z', note = 'moved' where a = 2;
begin; update pairs set a = a + 100; delete from pairs; commit;
