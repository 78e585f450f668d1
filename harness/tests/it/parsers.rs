//! Whatever reads files reads damaged ones too: what ships, cut, flipped, and with nonsense in place of numbers.

mod promise;

use proptest::prelude::*;

/// What stands in place of a number.
const NONSENSE: [&str; 24] = [
    "1e999",
    "-1e999",
    "1e308",
    "5e-324",
    "0",
    "-0",
    "-0.0",
    "-1",
    "NaN",
    "nan",
    "-nan",
    "inf",
    "Infinity",
    "null",
    "true",
    "\"3\"",
    "{}",
    "[]",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "0x10",
    "99999999999999999999999999999999999999999999",
];

/// Entries of an array in place of a number.
const HUGE: usize = 20_000;

/// Arrays within each other in place of a number.
const DEEP: usize = 5_000;

/// What is done to a file. Places are shares of it.
#[derive(Clone, Debug)]
enum Damage {
    /// It ends there.
    Cut(f64),
    /// A byte is another.
    Flip(f64, u8),
    /// A number is something else.
    Number(f64, String),
    /// A line is gone.
    NoLine(f64),
    /// A line is there twice.
    LineTwice(f64),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = || 0.0f64..1.0;
    let nonsense = prop_oneof![
        8 => proptest::sample::select(&NONSENSE[..]).prop_map(String::from),
        1 => Just(format!("[{}0]", "0,".repeat(HUGE))),
        1 => Just(format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP))),
        2 => any::<f64>().prop_map(|value| format!("{value:?}")),
        2 => any::<i64>().prop_map(|value| value.to_string()),
    ];
    prop_oneof![
        1 => place().prop_map(Damage::Cut),
        2 => (place(), any::<u8>()).prop_map(|(at, byte)| Damage::Flip(at, byte)),
        6 => (place(), nonsense).prop_map(|(at, text)| Damage::Number(at, text)),
        2 => place().prop_map(Damage::NoLine),
        1 => place().prop_map(Damage::LineTwice),
    ]
}

impl Damage {
    fn of(&self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Damage::Cut(at) => bytes[..at_share(*at, bytes.len())].to_vec(),
            Damage::Flip(at, byte) => {
                let mut bytes = bytes.to_vec();
                let at = at_share(*at, bytes.len());
                if let Some(flipped) = bytes.get_mut(at) {
                    *flipped = *byte;
                }
                bytes
            }
            Damage::Number(at, text) => {
                let numbers = numbers(bytes);
                let Some(&(start, end)) = numbers.get(at_share(*at, numbers.len())) else {
                    return bytes.to_vec();
                };
                [&bytes[..start], text.as_bytes(), &bytes[end..]].concat()
            }
            Damage::NoLine(at) => changed_lines(bytes, *at, 0),
            Damage::LineTwice(at) => changed_lines(bytes, *at, 2),
        }
    }
}

/// The file with one of its lines so many times.
fn changed_lines(bytes: &[u8], at: f64, times: usize) -> Vec<u8> {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let at = at_share(at, lines.len());
    let changed = lines
        .iter()
        .enumerate()
        .flat_map(|(index, line)| std::iter::repeat_n(*line, if index == at { times } else { 1 }));
    changed.flatten().copied().collect()
}

fn at_share(share: f64, count: usize) -> usize {
    (share * count as f64) as usize
}

/// Start and end of everything that looks like a number.
fn numbers(bytes: &[u8]) -> Vec<(usize, usize)> {
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'_' | b'e');
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let begins = bytes[at].is_ascii_digit() && (at == 0 || !bytes[at - 1].is_ascii_alphanumeric());
        let length = if begins { bytes[at..].iter().take_while(|byte| is_part(byte)).count() } else { 0 };
        if begins {
            found.push((at, at + length));
        }
        at += length.max(1);
    }
    found
}

/// A parser with the files that it reads: all valid, so that what is broken in them is what was damaged.
struct Parser {
    promise: fn(&[u8]) -> bool,
    files: Vec<Vec<u8>>,
}

impl Parser {
    fn new(promise: fn(&[u8]) -> bool, paths: &[&str]) -> Self {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let read = |path: &&str| std::fs::read(folder.join(path)).unwrap();
        Parser { promise, files: paths.iter().map(read).collect() }
    }

    fn check(&self, file: usize, damages: &[Damage]) {
        let file = &self.files[file % self.files.len()];
        (self.promise)(&damages.iter().fold(file.clone(), |bytes, damage| damage.of(&bytes)));
    }
}

fn results() -> Parser {
    let baseline = "../baselines/ffd31bf0f9ce/main/high_load.raft-rs.channel-memory.json";
    Parser::new(promise::results, &["tests/it/results-v1.json", baseline])
}

/// Only the first rows of what is committed: there are thousands of numbers in them already.
fn exact() -> Parser {
    let mut parser = Parser::new(promise::exact, &["../baselines/exact.json"]);
    for text in &mut parser.files {
        let ends = text.windows(7).enumerate().filter(|(_, bytes)| bytes == b"\n    },");
        let end = ends.map(|(at, _)| at).nth(1).unwrap();
        text.truncate(end);
        text.extend_from_slice(b"\n    }\n  }\n}\n");
    }
    parser
}

fn noise() -> Parser {
    Parser::new(promise::noise, &["../baselines/ffd31bf0f9ce/noise.json"])
}

fn policy() -> Parser {
    Parser::new(promise::policy, &["policy.toml"])
}

fn scenario() -> Parser {
    Parser::new(
        promise::scenario,
        &["scenarios/quick.toml", "scenarios/full.toml", "scenarios/calibrated.toml"],
    )
}

fn topology() -> Parser {
    let names = ["lan", "metro", "wan3", "wan5", "planet13"].map(|name| format!("topologies/{name}.toml"));
    Parser::new(promise::topology, &names.each_ref().map(String::as_str))
}

#[test]
fn numbers_are_found_where_they_are() {
    let found: Vec<&str> = [b"a1 = [2, -3.5e-7]\n\"p99\": 12" as &[u8]]
        .iter()
        .flat_map(|bytes| numbers(bytes).into_iter().map(|(start, end)| &bytes[start..end]))
        .map(|number| std::str::from_utf8(number).unwrap())
        .collect();
    assert_eq!(found, ["2", "3.5e-7", "12"]);
}

#[test]
fn what_ships_can_be_read() {
    for parser in [results(), exact(), noise(), policy(), scenario(), topology()] {
        // Files that are refused as they are would make every other test here pass.
        assert!(parser.files.iter().all(|file| (parser.promise)(file)));
        assert!(parser.files.iter().map(|file| numbers(file).len()).sum::<usize>() >= 10);
    }
}

#[test]
fn every_piece_of_nonsense_in_every_number_is_told() {
    for parser in [policy(), topology()] {
        for file in &parser.files {
            for (start, end) in numbers(file) {
                for nonsense in NONSENSE {
                    (parser.promise)(&[&file[..start], nonsense.as_bytes(), &file[end..]].concat());
                }
            }
        }
    }
}

macro_rules! survives {
    ($($name:ident: $parser:ident),*) => {
        proptest! {
            $(
                #[test]
                fn $name(file in 0usize..8, damages in proptest::collection::vec(damage(), 1..4)) {
                    $parser().check(file, &damages);
                }
            )*
        }
    };
}

survives! {
    damaged_results_are_told: results,
    damaged_exact_values_are_told: exact,
    damaged_noise_is_told: noise,
    a_damaged_policy_is_told: policy,
    damaged_scenarios_are_told: scenario,
    a_damaged_topology_is_told: topology
}
