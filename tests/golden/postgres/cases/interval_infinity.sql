-- since: 17
create table waits (id int primary key, iv interval, ivs interval[]);
-- stream
insert into waits values (1, 'infinity', array['-infinity'::interval, '1 day']);
