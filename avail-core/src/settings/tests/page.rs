//! The example and the tables of the page.

use super::*;

/// `docs/configuration.md`.
fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    std::fs::read_to_string(path).expect("the page is there")
}

#[test]
fn the_file_and_the_variables_of_the_page_work() {
    let page = page();
    let file = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let in_code = page.split('`').filter(|code| code.starts_with("AVAIL_"));
    let variables: Vec<_> = in_code.filter_map(|code| code.split_once('=')).collect();
    assert_eq!(variables.len(), 6);
    let overlay = read(file.expect("an example"), &variables).expect("it works");
    let of = |name: &str, family: &str| {
        overlay.breaker(member(name, family, &CircuitBreakerConfig::default())).expect("valid")
    };
    let storage = of("storage", "storage");
    assert_eq!((storage.failure_threshold, storage.timeout), (Some(10), seconds(30)));
    assert_eq!((storage.failure_rate, storage.window), (Some(0.5), seconds(30).into()));
    let embed = of("app::embed::embed", "app::embed::embed");
    assert_eq!((embed.failure_threshold, embed.timeout), (None, seconds(10)));
    assert!(of("tenants[acme]", "tenants").critical && !of("tenants[x]", "tenants").critical);
    assert_eq!(of("tenants[acme]", "tenants").half_open_max_calls, 2);
    let check = check(&overlay, "storage");
    assert_eq!((check.interval, check.tags.join("+")), (Some(seconds(10)), "db+disk".into()));
}

#[test]
fn the_page_names_every_key_and_no_other() {
    let page = page();
    let listed = |heading: &str| -> BTreeSet<String> {
        let section = page.split("\n## ").find(|section| section.starts_with(heading));
        let rows = section.expect(heading).lines().filter(|line| line.starts_with("| `"));
        let keys = rows.filter_map(|row| row.split('|').nth(1)).flat_map(|keys| keys.split('`'));
        keys.filter(|key| key.chars().any(char::is_alphabetic)).map(str::to_owned).collect()
    };
    let breaker = CircuitBreakerConfig::KEYS.iter().map(|key| key.name.to_owned()).collect();
    assert_eq!(listed("The keys of a breaker"), breaker);
    let check = HealthCheck::KEYS.iter().map(|key| key.name.to_owned()).collect();
    assert_eq!(listed("The keys of a check"), check);
}
