create table measures (id int, day date, v float8, primary key (id, day)) partition by range (day);
create table measures_1 partition of measures for values from ('2024-01-01') to ('2024-07-01');
create table measures_2 (v float8, day date not null, id int not null, primary key (id, day));
alter table measures attach partition measures_2 for values from ('2024-07-01') to ('2025-01-01');
-- stream
insert into measures values (1, '2024-01-02', 1.5), (2, '2024-08-01', 2.5);
update measures set day = '2024-09-01' where id = 1;
truncate measures;
