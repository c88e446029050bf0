-- Values beside what the server itself makes of them as whole numbers and hexadecimal digits.
create table properties (id int primary key, ts timestamp, ts_micros int8, tz timestamptz, tz_micros int8, d date, d_days int8,
  tm time, tm_micros int8, iv interval, iv_months int8, iv_days int8, iv_micros int8, f8 float8, f8_hex bytea, f4 float4, f4_hex bytea,
  u uuid, u_hex bytea, i8 int8, i8_hex bytea, n numeric, n_text text, a int[], a_sum int8);
-- stream
select setseed(0.25);
insert into properties
  select i, ts, extract(epoch from ts) * 1000000, tz, extract(epoch from tz) * 1000000, d, d - date '1970-01-01',
         tm, extract(epoch from tm) * 1000000, make_interval(months => m, days => dd) + (us || ' microseconds')::interval, m, dd, us,
         f, float8send(f), f::float4, float4send(f::float4), u, uuid_send(u), i8, int8send(i8), n, n::text, a, (select sum(v) from unnest(a) v)
    from (select i, timestamp '1970-01-01' + ((random() - 0.5) * 2e17)::int8 * interval '1 microsecond' * s ts,
                 timestamptz '1970-01-01+00' + ((random() - 0.5) * 2e17)::int8 * interval '1 microsecond' * s tz,
                 date '1970-01-01' + ((random() - 0.2) * 2e6 * s)::int d, time '00:00' + (random() * 86399999999)::int8 * interval '1 microsecond' tm,
                 ((random() - 0.5) * 4e9 * s)::int m, ((random() - 0.5) * 4e9 * s)::int dd, ((random() - 0.5) * 1.8e19 * s)::int8 us,
                 (random() - 0.5) * 10.0 ^ ((random() - 0.5) * 74)::int f, md5(i::text)::uuid u, ((random() - 0.5) * 1.8e19 * s * s)::int8 i8,
                 ((random() - 0.5) * 1e9)::numeric / (i + 1) n, array[i, -i, null, i * 1000] a
            from (select i, random() s from generate_series(1, 400) i) seed) raw;
