-- since: 18
-- publication: FOR ALL TABLES WITH (publish_generated_columns = stored)
create table a (id int primary key, twice int generated always as (id * 2) stored, thrice int generated always as (id * 3) virtual, note text);
-- stream
insert into a (id, note) values (1, 'stored columns are sent, virtual ones never');
update a set note = 'x';
