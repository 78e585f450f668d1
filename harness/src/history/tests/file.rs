//! The database as a file: what is not one, what is broken, and several processes at once.

use super::*;

#[test]
fn a_file_that_is_no_history_is_refused_and_left_as_it_is() {
    let place = Place::new();
    let garbage: [&[u8]; 3] = [b"x", b"These are not the bytes of a database.\n", &[0xa5; 20_000]];
    for bytes in garbage {
        let path = place.holding(bytes);
        for error in [History::open(&path).unwrap_err(), History::open_existing(&path).unwrap_err()] {
            assert_eq!(
                error.to_string(),
                format!(
                    "{}: no database; move this file away, and the next run starts a new history",
                    path.display()
                )
            );
        }
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    let foreign = place.folder.path().join("foreign.sqlite");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE songs (name TEXT)").unwrap();
    let before = std::fs::read(&foreign).unwrap();
    let error = History::open(&foreign).unwrap_err();
    assert!(matches!(error, HistoryError::NotAHistory { .. }), "{error}");
    assert_eq!(std::fs::read(&foreign).unwrap(), before);

    let folder = History::open(place.folder.path()).unwrap_err();
    assert!(matches!(folder, HistoryError::Database { .. }), "{folder}");
    assert!(History::open_existing(&place.folder.path().join("none.sqlite")).unwrap().is_none());
}

#[test]
fn a_damaged_history_is_told() {
    let place = Place::new();
    let mut history = place.open();
    history.record(&run(), &result_of("raft-rs", "high_load", 5e6), &Retention::default()).unwrap();
    drop(history);
    let mut bytes = std::fs::read(place.path()).unwrap();
    // All but the first page, which says that it is a database.
    bytes[4_096..].fill(0xa5);
    std::fs::write(place.path(), bytes).unwrap();
    let error = place.open().list(&Filter::default()).unwrap_err().to_string();
    assert!(error.contains("history.sqlite: damaged (database disk image is malformed); move"), "{error}");
    assert_eq!(error.lines().count(), 1);
}

#[test]
fn an_empty_file_is_a_history_without_entries() {
    let place = Place::new();
    let path = place.holding(b"");
    assert_eq!(History::open(&path).unwrap().list(&Filter::default()).unwrap(), []);
}

#[test]
fn runs_at_once_make_one_history_and_lose_no_entry() {
    let place = Place::new();
    let (writers, entries) = (6, 5);
    let (run, result) = (run(), result_of("raft-rs", "high_load", 5e6));
    let start = std::sync::Barrier::new(writers);
    std::thread::scope(|scope| {
        for _ in 0..writers {
            scope.spawn(|| {
                start.wait();
                let mut history = place.open();
                for _ in 0..entries {
                    history.record(&run, &result, &Retention::default()).unwrap();
                }
            });
        }
    });
    // An entry's time is from before it waited for its turn, so the order may be another.
    let mut found = ids(&place.open(), &Filter::default());
    found.sort();
    assert_eq!(found, (1..=(writers * entries) as i64).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn no_bytes_make_opening_panic_or_change_them(bytes in proptest::collection::vec(any::<u8>(), 1..300)) {
        let place = Place::new();
        let path = place.holding(&bytes);
        prop_assert!(History::open(&path).is_err());
        prop_assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}
