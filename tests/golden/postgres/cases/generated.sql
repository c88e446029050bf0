create table a (id int primary key, twice int generated always as (id * 2) stored, note text);
-- stream
insert into a (id, note) values (1, 'the stream of 15 has no generated columns');
update a set note = 'x';
