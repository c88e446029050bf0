#include "mysql/log_position.h"

#include <gtest/gtest.h>

namespace tailwater::mysql {
namespace {

using Form = LogPosition::Form;

constexpr char kServer[] = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
const FilePosition kNowhere{"ignored.000001", 1};

LogPosition At(Form form, std::string_view text) {
  const auto position = LogPosition::Parse(form, text);
  EXPECT_TRUE(position.has_value()) << text;
  return position.value_or(LogPosition(FilePosition{}));
}
GroupId Mysql(int64_t number) { return MysqlGtid{*Uuid::Parse(kServer), "", number}; }
GroupId Mariadb(std::string_view text) { return *MariadbGtid::Parse(text); }
std::string Server(std::string_view numbers) { return std::string(kServer).append(numbers); }

TEST(FilePosition, IsOrderedByFileNumberAndPlace) {
  const FilePosition a{"bin.000009", 900}, b{"bin.000010", 4}, c{"bin.999999", 4},
      d{"bin.1000000", 4};
  EXPECT_TRUE(a.Before(b));
  EXPECT_FALSE(b.Before(a));
  EXPECT_TRUE(c.Before(d));
  EXPECT_FALSE(a.Before(a));
  EXPECT_TRUE((FilePosition{"bin.000009", 899}.Before(a)));
  EXPECT_TRUE((FilePosition{"bin.000009", 5'000'000'000}.Before(b)));
}

TEST(FilePosition, ParsesWhatItPrints) {
  for (const FilePosition& place :
       {FilePosition{"mysql-bin.000003", 4711}, FilePosition{"a b,c>d%e:f.000001", 1ull << 63}}) {
    EXPECT_EQ(FilePosition::Parse(place.ToString()), place);
  }
  EXPECT_EQ((FilePosition{"mysql-bin.000003", 4711}.ToString()), "mysql-bin.000003:4711");
  EXPECT_EQ((FilePosition{"my bin.000003", 4}.ToString()), "my%20bin.000003:4");
  for (const char* text : {"", ":4", "file", "file:", "file:-1", "file:4x", "a b:4", "file%2:4",
                           "file%zz:4", "file:99999999999999999999"}) {
    EXPECT_FALSE(FilePosition::Parse(text).has_value()) << text;
  }
}

TEST(LogPosition, ParsesWhatItPrints) {
  const struct {
    Form form;
    std::string text;
  } kCases[] = {
      {Form::kMysqlGtid, ""},
      {Form::kMysqlGtid, Server(":1-5:9:tag:1")},
      {Form::kMariadbGtid, ""},
      {Form::kMariadbGtid, "0-1-100,5-1-7"},
      {Form::kMariadbGtid, "0-1-100 undecided 0-1-94>0-1-95,>5-1-1"},
      {Form::kMariadbGtid, "0-1-100 undecided 0-1-94>0-2-95"},
      {Form::kFile, "mysql-bin.000003:4711"},
      {Form::kFile, "mysql-bin.000003:4711 undecided mysql-bin.000002:815,mysql-bin.000003:4"}};
  for (const auto& c : kCases) {
    const LogPosition position = At(c.form, c.text);
    EXPECT_EQ(position.form(), c.form);
    EXPECT_EQ(position.ToString(), c.text);
    EXPECT_EQ(At(c.form, position.ToString()), position);
  }
}

TEST(LogPosition, RefusesWhatIsNone) {
  EXPECT_FALSE(LogPosition::Parse(Form::kMysqlGtid, "0-1-100"));
  EXPECT_FALSE(LogPosition::Parse(Form::kMysqlGtid, Server(":1 undecided ") + Server(":2")));
  for (const char* text :
       {"0-1-100 undecided ", "0-1-100 undecided 0-1-95", "0-1-100 undecided 1-1-94>0-1-95",
        "0-1-100 undecided 0-1-94>0-1-95,", "0-1-100 undecided x>0-1-95", "file.000001:4"}) {
    EXPECT_FALSE(LogPosition::Parse(Form::kMariadbGtid, text)) << text;
  }
  for (const char* text :
       {"", "f.000001:4 undecided ", "f.000001:4 undecided f.000001", "f.000001:4,f.000001:5"}) {
    EXPECT_FALSE(LogPosition::Parse(Form::kFile, text)) << text;
  }
}

TEST(LogPosition, PassesGroups) {
  LogPosition mysql = At(Form::kMysqlGtid, Server(":1-5"));
  mysql.Pass(Mysql(6), kNowhere);
  mysql.Pass(Mysql(9), kNowhere);
  EXPECT_EQ(mysql.ToString(), Server(":1-6:9"));
  EXPECT_TRUE(mysql.Contains(Mysql(9)));
  EXPECT_FALSE(mysql.Contains(Mysql(8)));

  LogPosition mariadb = At(Form::kMariadbGtid, "0-1-100");
  mariadb.Pass(Mariadb("0-2-101"), kNowhere);
  mariadb.Pass(Mariadb("5-1-1"), kNowhere);
  EXPECT_EQ(mariadb.ToString(), "0-2-101,5-1-1");
  EXPECT_TRUE(mariadb.Contains(Mariadb("0-1-100")));
  EXPECT_FALSE(mariadb.Contains(Mariadb("5-1-2")));

  LogPosition file = At(Form::kFile, "bin.000009:4");
  file.Pass(FilePosition{"bin.000009", 4}, {"bin.000009", 500});
  EXPECT_EQ(file.ToString(), "bin.000009:500");
  EXPECT_TRUE(file.Contains(FilePosition{"bin.000009", 4}));
  EXPECT_FALSE(file.Contains(FilePosition{"bin.000009", 500}));  // the next group begins here
  EXPECT_FALSE(file.Contains(FilePosition{"bin.000010", 4}));
}

TEST(LogPosition, MysqlLeavesAHoleForWhatIsUndecided) {
  LogPosition position = At(Form::kMysqlGtid, Server(":1-5"));
  position.PassUndecided(Mysql(6), kNowhere);
  position.PassUndecided(Mysql(6), kNowhere);
  position.Pass(Mysql(7), kNowhere);
  EXPECT_EQ(position.ToString(), Server(":1-5:7"));
  EXPECT_EQ(position.ReadFrom().ToString(), Server(":1-5:7"));
  EXPECT_EQ(position.undecided().size(), 1u);
  EXPECT_FALSE(position.Contains(Mysql(6)));
  // What the server executed has the prepared one, too: nobody can see its rows.
  EXPECT_TRUE(position.Contains(At(Form::kMysqlGtid, Server(":1-7"))));
  EXPECT_FALSE(position.Contains(At(Form::kMysqlGtid, Server(":1-8"))));
  position.Decide(Mysql(6));
  EXPECT_EQ(position.ToString(), Server(":1-7"));
  EXPECT_TRUE(position.undecided().empty());
}

TEST(LogPosition, MariadbReadsAgainFromInFrontOfTheFirstUndecidedOfEachDomain) {
  LogPosition position = At(Form::kMariadbGtid, "0-1-94,5-1-7");
  position.PassUndecided(Mariadb("0-2-95"), kNowhere);
  position.PassUndecided(Mariadb("0-2-95"), kNowhere);
  position.Pass(Mariadb("0-1-96"), kNowhere);
  position.PassUndecided(Mariadb("0-1-97"), kNowhere);
  position.PassUndecided(Mariadb("9-1-1"), kNowhere);
  position.Pass(Mariadb("5-1-8"), kNowhere);
  EXPECT_EQ(position.ToString(), "0-1-97,5-1-8,9-1-1 undecided 0-1-94>0-2-95,0-1-96>0-1-97,>9-1-1");
  EXPECT_EQ(position.ReadFrom().ToString(), "0-1-94,5-1-8");
  EXPECT_FALSE(position.Contains(Mariadb("0-2-95")));
  EXPECT_TRUE(position.Contains(Mariadb("0-1-96")));
  EXPECT_TRUE(position.Contains(At(Form::kMariadbGtid, "0-1-97,9-1-1")));

  const LogPosition stored = At(Form::kMariadbGtid, position.ToString());
  EXPECT_EQ(stored, position);
  EXPECT_EQ(stored.ReadFrom(), position.ReadFrom());

  position.Decide(Mariadb("0-2-95"));
  EXPECT_EQ(position.ToString(), "0-1-97,5-1-8,9-1-1 undecided 0-1-96>0-1-97,>9-1-1");
  EXPECT_EQ(position.ReadFrom().ToString(), "0-1-96,5-1-8");
  position.Decide(Mariadb("9-1-1"));
  position.Decide(Mariadb("0-1-97"));
  EXPECT_EQ(position.ToString(), "0-1-97,5-1-8,9-1-1");
  EXPECT_EQ(position.ReadFrom(), position);
}

TEST(LogPosition, FilesReadAgainFromTheFirstUndecided) {
  LogPosition position = At(Form::kFile, "bin.000009:4");
  position.PassUndecided(FilePosition{"bin.000009", 4}, {"bin.000009", 500});
  position.Pass(FilePosition{"bin.000009", 500}, {"bin.000010", 4});
  EXPECT_EQ(position.ToString(), "bin.000010:4 undecided bin.000009:4");
  EXPECT_EQ(position.ReadFrom().ToString(), "bin.000009:4");
  EXPECT_FALSE(position.Contains(FilePosition{"bin.000009", 4}));
  EXPECT_TRUE(position.Contains(FilePosition{"bin.000009", 500}));
  EXPECT_TRUE(position.Contains(At(Form::kFile, "bin.000010:4")));
  EXPECT_FALSE(position.Contains(At(Form::kFile, "bin.000010:5")));
  position.Decide(FilePosition{"bin.000009", 4});
  EXPECT_EQ(position.ToString(), "bin.000010:4");
}

}  // namespace
}  // namespace tailwater::mysql
