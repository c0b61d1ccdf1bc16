//! The bridge: lines in both directions at once, and how either side's end ends it.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixListener;

use serde_json::json;
use support::{Broker, Folder, finish, program, said};

#[test]
fn lines_go_both_ways_one_at_a_time() {
    let broker = Broker::new(|connection| {
        while let Some(message) = connection.hear() {
            connection.answer(&message, &message["params"]);
        }
    });
    let mut child = program(&["--socket", &broker.socket]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for number in 0..20 {
        // Half a line, and then the rest.
        write!(input, "{{\"id\":{number},").unwrap();
        input.flush().unwrap();
        writeln!(input, "\"params\":\"p{number}\"}}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer, json!({ "jsonrpc": "2.0", "id": number, "result": format!("p{number}") }));
    }
    drop(input);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(broker.heard().len(), 20);
}

#[test]
fn answers_still_arrive_when_the_input_has_ended() {
    let broker = Broker::new(|connection| {
        // Nothing is answered before the end of the input was seen.
        while connection.hear().is_some() {}
        for message in connection.heard.clone() {
            connection.answer(&message, &json!("x".repeat(100_000)));
        }
    });
    let child = program(&["--socket", &broker.socket]).spawn().unwrap();
    let input: String = (0..50).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    let output = finish(child, input.as_bytes());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 50);
    assert_eq!(broker.heard().len(), 50);
}

#[test]
fn the_end_of_the_broker_is_the_end_though_the_input_is_open() {
    let broker = Broker::new(|connection| {
        connection.hear();
        connection.say("{\"last\":true}");
    });
    let mut child = program(&["--socket", &broker.socket]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{{}}").unwrap();
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert_eq!(output, "{\"last\":true}\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(input);
}

#[test]
fn a_broker_that_hears_no_more_may_still_answer() {
    let broker = Broker::new(|connection| {
        connection.hear();
        connection.stream.shutdown(Shutdown::Read).unwrap();
        connection.say("{\"late\":true}");
    });
    let mut child = program(&["--socket", &broker.socket]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{{}}").unwrap();
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert_eq!(output, "{\"late\":true}\n");
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn much_in_both_directions_at_once_does_not_stick() {
    let broker = Broker::new(|connection| {
        let mut from = connection.stream.try_clone().unwrap();
        let mut to = connection.stream.try_clone().unwrap();
        let writer = std::thread::spawn(move || {
            to.write_all(&[b'b'; 4 << 20]).unwrap();
            to.write_all(b"\n").unwrap();
            to.shutdown(Shutdown::Write).unwrap();
        });
        // Reads nothing before everything is written.
        writer.join().unwrap();
        let mut all = Vec::new();
        from.read_to_end(&mut all).unwrap();
    });
    let mut child = program(&["--socket", &broker.socket]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        // It may end before all is written: the broker's end is its end.
        let _ = input.write_all(&[b'a'; 4 << 20]);
    });
    let mut output = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
    assert_eq!(output.len(), (4 << 20) + 1);
    writer.join().unwrap();
    child.wait().unwrap();
}

#[test]
fn where_nobody_reads_the_answers_it_fails() {
    let broker = Broker::new(|connection| {
        connection.hear();
        for _ in 0..100 {
            connection.say(&"x".repeat(100_000));
        }
    });
    let mut child = program(&["--socket", &broker.socket]).spawn().unwrap();
    drop(child.stdout.take());
    let output = finish(child, b"{}\n");
    let (code, _, complaint) = said(&output);
    assert_eq!(code, 1);
    assert!(complaint.starts_with("agentrc: cannot write to standard output"), "{complaint}");
}

#[test]
fn without_a_broker_it_says_so() {
    let folder = Folder::new();
    let nothing = folder.at("broker.sock");
    let output = finish(program(&["--socket", &nothing]).spawn().unwrap(), b"{}\n");
    let (code, out, complaint) = said(&output);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(complaint.contains(&nothing) && complaint.contains("this sandbox has no broker"), "{complaint}");
    // One that was there and is gone.
    drop(UnixListener::bind(&nothing).unwrap());
    let output = finish(program(&["--socket", &nothing]).spawn().unwrap(), b"{}\n");
    let (code, _, complaint) = said(&output);
    assert!(code == 1 && complaint.contains("has ended"), "{complaint}");
}

#[test]
fn the_environment_names_no_socket_and_other_words_are_refused() {
    let output = finish(program(&[]).env("AGENTRC_SOCKET", "/elsewhere").spawn().unwrap(), b"");
    let (code, _, complaint) = said(&output);
    assert!(code == 1 && complaint.contains("`/agentrc/broker.sock`"), "{complaint}");
    for words in [&["--help"][..], &["--builtin"], &["--builtin", "shell", "x"], &["--socket"], &["serve"]] {
        let (code, out, complaint) = said(&finish(program(words).spawn().unwrap(), b"{}"));
        assert_eq!((code, out.as_str()), (1, ""), "{words:?}");
        assert!(complaint.contains("Model Context Protocol"), "{words:?}: {complaint}");
    }
}
