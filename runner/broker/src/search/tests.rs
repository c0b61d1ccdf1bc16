//! The search with a gateway of the test's.

use serde_json::json;
use tokio::task::LocalSet;

use super::*;

const VALUE: &str = "value-of-a-credential";

/// What the gateway does with one text.
type Acts = fn(&str) -> Vec<u8>;

fn framed(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    texts::part(text.as_bytes(), &mut bytes);
    texts::end(&mut bytes);
    bytes
}

fn redacts(text: &str) -> Vec<u8> {
    framed(&text.replace(VALUE, "PLACEHOLDER").replace("12345678", "NUMBER"))
}

/// Runs `act` with a search whose other end answers as `acts` says.
fn with<T>(acts: Acts, act: impl AsyncFnOnce(&Search) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let mut theirs = UnixStream::from_std(theirs).unwrap();
        tokio::task::spawn_local(async move {
            let (mut text, mut chunk) = (Vec::new(), Vec::new());
            while let Ok(more) = texts::next(&mut theirs, &mut chunk).await {
                if more {
                    text.append(&mut chunk);
                    continue;
                }
                let answer = acts(&String::from_utf8(std::mem::take(&mut text)).unwrap());
                if answer.is_empty() || theirs.write_all(&answer).await.is_err() {
                    return;
                }
            }
        });
        act(&Search::through(ours.into()).unwrap()).await
    })
}

#[test]
fn all_texts_of_a_value_are_searched_and_the_rest_stays() {
    let given = json!({
        "list": [1, null, true, "a", {"deep": [format!("x{VALUE}y"), 2.5]}],
        VALUE: 12_345_678,
        "none": {},
    });
    let (clean, found) = with(redacts, async |search| search.value(given).await.unwrap());
    assert!(found);
    assert_eq!(
        clean,
        json!({
            "list": [1, null, true, "a", {"deep": ["xPLACEHOLDERy", 2.5]}],
            "PLACEHOLDER": "NUMBER",
            "none": {},
        })
    );
}

#[test]
fn each_kind_of_an_outcome_is_searched() {
    with(redacts, async |search| {
        let text = || format!("a {VALUE}");
        let clean = || "a PLACEHOLDER".to_owned();
        for (given, wanted) in [
            (Outcome::Text(text()), Outcome::Text(clean())),
            (Outcome::Error(text()), Outcome::Error(clean())),
            (Outcome::Refused(text()), Outcome::Refused(clean())),
            (Outcome::Value(json!([text()])), Outcome::Value(json!([clean()]))),
            (
                Outcome::Content(vec![rmcp::model::ContentBlock::text(text())], Some(json!({"a": text()}))),
                Outcome::Content(vec![rmcp::model::ContentBlock::text(clean())], Some(json!({"a": clean()}))),
            ),
        ] {
            assert_eq!(search.outcome(given).await.unwrap(), (wanted, true));
        }
        let same = Outcome::Text("nothing".to_owned());
        assert_eq!(search.outcome(same).await.unwrap(), (Outcome::Text("nothing".to_owned()), false));
    });
}

#[test]
fn more_than_a_socket_holds_goes_both_ways() {
    with(redacts, async |search| {
        let given = vec!["x".repeat(3 << 20), VALUE.to_owned(), String::new(), "y".repeat(1 << 20)];
        let clean = search.texts(given.clone()).await.unwrap();
        assert_eq!((&clean[0], &clean[2..]), (&given[0], &given[2..]));
        assert_eq!(clean[1], "PLACEHOLDER");
    });
}

#[test]
fn an_answer_that_makes_no_sense_gives_nothing_and_neither_does_any_after_it() {
    let nonsense: [Acts; 5] = [
        |_| Vec::new(),
        |_| vec![0xff; 8],
        |_| [framed("a"), framed("b")].concat(),
        |_| {
            let mut bytes = Vec::new();
            texts::part(&[0xff, 0xfe], &mut bytes);
            texts::end(&mut bytes);
            bytes
        },
        |_| framed(&"long".repeat(1 << 20)),
    ];
    for acts in nonsense {
        with(acts, async |search| {
            search.is_there().unwrap();
            for _ in 0..2 {
                let failed = search.outcome(Outcome::Text("said".to_owned())).await.unwrap_err();
                assert!(failed.to_string().contains("could not be searched for credentials: "), "{failed}");
            }
            // Nothing is performed any more whose output could not be given.
            assert!(search.is_there().is_err());
        });
    }
}

#[test]
fn a_call_that_nobody_waits_for_does_not_leave_its_answer_to_the_next() {
    with(redacts, async |search| {
        for text in ["one", "two", "three"] {
            let dropped = search.texts(vec![text.repeat(100_000)]);
            let dropped = tokio::time::timeout(Duration::from_millis(1), dropped);
            drop(dropped.await);
            assert_eq!(search.texts(vec![text.to_owned()]).await.unwrap(), [text]);
        }
    });
}

#[test]
fn calls_at_the_same_time_have_their_own_answers() {
    with(redacts, async |search| {
        let (one, two) = (vec!["a".to_owned(); 1000], vec![VALUE.to_owned(); 1000]);
        let (first, second) = tokio::join!(search.texts(one.clone()), search.texts(two));
        assert_eq!(first.unwrap(), one);
        assert!(second.unwrap().iter().all(|text| text == "PLACEHOLDER"));
    });
}

#[test]
fn a_gateway_that_is_gone_gives_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        std::io::Write::write_all(&mut theirs, &framed("an answer to nothing")).unwrap();
        drop(theirs);
        let search = Search::through(ours.into()).unwrap();
        assert!(search.texts(vec!["a".to_owned()]).await.is_err());
        assert!(search.0.lock().await.is_none());
    });
}
