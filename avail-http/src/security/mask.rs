//! Masking of secrets in a text that was written for people. It would rather mask too much than too
//! little, as long as what is wrong can still be read.
//!
//! | file | what it masks |
//! |---|---|
//! | `urls` | users and passwords in URLs |
//! | `names` | values that follow a word such as `password=` |
//! | `shapes` | what looks like a key wherever it stands |

mod names;
mod shapes;
mod urls;

pub(super) use self::names::names_a_secret;

/// What stands in the place of a secret.
pub(super) const MASK: &str = "***";

/// The text without its secrets.
pub(crate) fn mask(text: &str) -> String {
    let text = shapes::mask_keys(text);
    names::mask_values(&urls::mask_users(&text))
}

/// Whether a word that follows the name of a secret is one, and not a word of the sentence.
fn looks_random(word: &str) -> bool {
    let has = |wanted: fn(&u8) -> bool| word.as_bytes().iter().any(wanted);
    word.len() >= 20 || (word.len() >= 5 && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_is_kept() {
        let table = [
            ("connection refused", "connection refused"),
            ("no answer within 500ms", "no answer within 500ms"),
            ("postgres://app:hunter2@db:5432/x", "postgres://app:***@db:5432/x"),
            ("at postgres://app:p@ss@db/x, retry", "at postgres://app:***@db/x, retry"),
            ("(redis://:hunter2@cache)", "(redis://:***@cache)"),
            ("app:hunter2@db", "app:***@db"),
            ("https://db:5432/x", "https://db:5432/x"),
            ("mail bob@example.org", "mail bob@example.org"),
            ("host=db password=hunter2 port=5", "host=db password=*** port=5"),
            ("PASSWORD = hunter2", "PASSWORD = ***"),
            ("db_password=hunter2&x=1", "db_password=***&x=1"),
            ("?access_token=abc&page=2", "?access_token=***&page=2"),
            (r#"{"token": "a b\t", "x": 1}"#, r#"{"token": "***", "x": 1}"#),
            ("password='hunter 2', x", "password='***', x"),
            ("Authorization: Bearer abc.def, x", "Authorization: ***, x"),
            ("api_key=k secret:s pwd=p", "api_key=*** secret:*** pwd=***"),
            ("password=", "password="),
            ("password=\"hunter2", "password=\"***"),
            ("paßwort=ü token=ü€", "paßwort=ü token=***"),
            ("", ""),
        ];
        for (text, expected) in table {
            assert_eq!(mask(text), expected);
            assert_eq!(mask(expected), expected, "masking twice changes nothing");
        }
    }

    /// Texts as clients, drivers and libraries write them: none of them may still hold a secret.
    #[test]
    fn no_secret_gets_through() {
        let texts = [
            "postgres://app:S3CRET@db/x?sslmode=off",
            "postgres://app:S3C/RET@db/x",
            "postgres://app:S3CRET,x@db",
            "error at \"amqp://user:S3CRET@host:5672/%2f\"",
            "https://S3CRET@github.example/x.git",
            "https://user:@host/?token=S3CRET",
            "mysql://root:p%40S3CRET@h",
            "mongodb+srv://u:S3CRET@h1,h2/db",
            "jdbc:sqlserver://h;user=a;password=S3CRET;x=1",
            "Server=h;Pwd=S3CRET;Database=x",
            "PGPASSWORD=S3CRET psql",
            "password: S3CRET",
            "password : S3CRET",
            "password = \"S3CRET\"",
            "password => S3CRET",
            "password is S3CRET",
            "passphrase 'S3CRET'",
            "host=db user=app pass=S3CRET",
            "{\"user\":\"app\",\"pass\":\"S3CRET\"}",
            "DB_PASS=S3CRET",
            "jwt=S3CRET",
            "JSESSIONID=S3CRET; Path=/",
            "--password S3CRET --host h",
            "--password=S3CRET",
            "-e API_TOKEN=S3CRET",
            "{\"password\":\"S3CRET\"}",
            "{\"password\": \"S3C\\\"RET S3CRET\"}",
            "{\\\"password\\\":\\\"S3CRET\\\"}",
            "{\"client_secret\" : \"S3CRET\"}",
            "{password: \"S3CRET\", user: \"x\"}",
            "Config { password: Some(\"S3CRET\"), port: 5 }",
            "Config { password: Secret(\"S3CRET\") }",
            "passwords: [\"S3CRET\", \"S3CRET\"]",
            "Authorization: Bearer S3CRET",
            "authorization: Basic S3CRET==",
            "authorization=bearer%20S3CRET",
            "Authorization: Token S3CRET",
            "Authorization: ApiKey S3CRET",
            "Authorization: Digest username=\"x\", response=\"S3CRET\"",
            "the header was Bearer S3CRET, and that is wrong",
            "\"authorization\": \"Bearer S3CRET\"",
            "Proxy-Authorization: Basic S3CRET",
            "Cookie: session=S3CRET",
            "Set-Cookie: sid=S3CRET; Path=/",
            "X-Api-Key: S3CRET",
            "x-auth-token: S3CRET",
            "api_key=S3CRET",
            "apikey S3CRET",
            "https://h/x?sig=S3CRET&se=1",
            "https://h/x?X-Amz-Signature=S3CRET",
            "https://h/x?access_token=S3CRET#f",
            "https://h/?key=S3CRET",
            "AccountKey=S3CRET==;EndpointSuffix=x",
            "SharedAccessKey=S3CRET",
            "aws_secret_access_key = S3CRET",
            "AKIAIOSFODNN7S3CRET0",
            "ASIAIOSFODNN7S3CRET0 is not known",
            "ghp_S3CRET0123456789abcdefABCDEF01234567",
            "sk-S3CRET0123456789abcdefABCDEF",
            "xoxb-123456789012-S3CRET",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.S3CRET-x_y",
            "-----BEGIN PRIVATE KEY-----\nS3CRET\n-----END PRIVATE KEY-----",
            "PASSWORD=S3CRET\nTOKEN=S3CRET",
            "token=\nS3CRET",
            "tok\u{435}n? secret:S3CRET",
        ];
        let leaks: Vec<_> =
            texts.iter().map(|text| mask(text)).filter(|text| text.contains("S3CRET")).collect();
        assert_eq!(leaks, Vec::<String>::new());
    }

    #[test]
    fn what_is_wrong_can_still_be_read() {
        for text in [
            "the token expired 5 minutes ago",
            "unexpected token `}` at line 3",
            "the password is wrong for user app",
            "secret not found",
            "app::token::Error: gone",
            "bearer token missing, basic auth failed",
            "max_tokens: 100",
            "bypass=true",
            "1 of 3 tests did not pass",
            "sk-learn is not installed",
            "GET /x?page=2&sort=up: 404",
            "key=storage not found",
            "connect 10.0.0.7:5432: connection refused (os error 111)",
            "error trying to connect: dns error: no record for db.example.org",
            "https://db.example.org:5432/x?sslmode=require",
            "SELECT * FROM users WHERE mail = 'bob@example.org'",
        ] {
            assert_eq!(mask(text), text);
        }
    }

    proptest::proptest! {
        #![proptest_config(crate::cases(500))]

        #[test]
        fn no_text_makes_it_fail(
            text in "(password|token|://|@|:|=|\"|\\\\|\\(|\\[|Bearer |eyJ|ü|\n|[ -~]{0,3}|\\PC){0,24}",
        ) {
            mask(&text);
        }
    }
}
