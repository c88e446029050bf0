-- publication: FOR TABLE people (id, name)
create table people (id int primary key, secret text, name text);
-- stream
insert into people values (1, 'hidden', 'Ann');
update people set secret = 'other';
