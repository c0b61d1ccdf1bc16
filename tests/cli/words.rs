//! The command line itself: help, wrong words, completions, man pages, `init`.

use crate::support::World;

const COMMANDS: [&str; 21] = [
    "init",
    "check",
    "fmt",
    "plan",
    "run",
    "skill",
    "tools",
    "allow",
    "grants",
    "approvals",
    "pins",
    "runs",
    "diff",
    "apply",
    "discard",
    "audit",
    "why",
    "doctor",
    "support",
    "completions",
    "man",
];

#[test]
fn help_lists_every_command_and_each_has_help_with_an_example() {
    let world = World::new();
    let help = world.ends(["--help"], 0).plain().out_has(&COMMANDS);
    let listed = help.out.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed: Vec<_> = listed
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(listed.len(), COMMANDS.len() + 1, "all of them, and `help`: {listed:?}");
    // What only `run` calls is nobody's to call.
    for part in ["serve-mcp", "serve-skill"] {
        let alone = world.ends([part, "Agentfile", "files", "00", "1", "run"], 125);
        assert!(alone.err.contains("supervisor"), "{}", alone.err);
    }
    for command in COMMANDS {
        world.ends([command, "--help"], 0).out_has(&["Usage: agentrc", "Example", command]);
    }
    world.ends(["skill", "run", "--help"], 0).out_has(&["Usage: agentrc skill run", "Examples", "125"]);
    for command in ["list", "show", "approve", "deny"] {
        world.ends(["approvals", command, "--help"], 0).out_has(&["Usage: agentrc approvals"]);
    }
    world.ends(["tools", "schema", "--help"], 0).out_has(&["Usage: agentrc tools schema", "Examples", "125"]);
    for command in ["list", "show", "verify"] {
        world.ends(["audit", command, "--help"], 0).out_has(&["Usage: agentrc audit"]);
    }
}

#[test]
fn a_wrong_command_line_is_2_but_125_for_run_whose_2_is_the_programs() {
    let world = World::new();
    world.ends(["nonsense"], 2).err_has(&["nonsense"]);
    world.ends([], 2).err_has(&["Usage"]);
    world.ends(["chek"], 2).err_has(&["check"]);
    world.ends(["check", "--format", "yaml"], 2).err_has(&["text", "json"]);
    world.ends(["skill", "nonsense"], 2).err_has(&["nonsense"]);
    world.ends(["skill", "run", "--nonsense"], 125).err_has(&["--nonsense"]);
    world.ends(["run", "--nonsense"], 125).err_has(&["--nonsense"]);
}

#[test]
fn version_is_printed() {
    World::new().ends(["--version"], 0).out_has(&["agentrc 0."]);
}

#[test]
fn completions_exist_for_each_shell() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        world.ends(["completions", shell], 0).out_has(&["agentrc", "doctor", "discard"]);
    }
    world.ends(["completions", "csh"], 2).err_has(&["bash"]);
}

#[test]
fn each_command_has_a_man_page() {
    let world = World::new();
    world.ends(["man", "pages"], 0).out_has(&["pages/agentrc.1", "pages/agentrc-audit-verify.1"]);
    for command in COMMANDS {
        let page = world.read(format!("pages/agentrc-{command}.1"));
        assert!(page.contains(&format!(".TH agentrc-{command} 1")), "{page}");
    }
    // The synopsis is the usage line of `--help`.
    for command in COMMANDS {
        let help = world.ends([command, "--help"], 0).out;
        let usage = help.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap();
        let page = world.read(format!("pages/agentrc-{command}.1"));
        let page = page.replace("\\fB", "").replace("\\fR", "").replace("\\-", "-");
        assert!(page.contains(&format!(".SH SYNOPSIS\n{usage}\n")), "{usage}\n{page}");
    }
    let page = world.read("pages/agentrc-run.1");
    assert!(
        page.contains("[PATH] [\\-\\- <ARGUMENT>...]") && page.contains("[\\fIARGUMENT\\fR]..."),
        "{page}"
    );
    world.write("file", "");
    world.ends(["man", "file/x"], 1).err_has(&["cannot write man pages to `file/x`"]);
}

#[test]
fn a_closed_standard_output_is_no_crash() {
    let world = World::new();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_agentrc"))
        .args(["completions", "bash"])
        .current_dir(world.path(""))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_full_standard_output_is_an_error() {
    let world = World::new();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_agentrc"))
        .args(["completions", "bash"])
        .current_dir(world.path(""))
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output"));
}

#[test]
fn init_writes_a_starter_named_after_its_folder_and_overwrites_only_when_told() {
    let world = World::new();
    world.ends(["init", "My Agent"], 0).out_has(&["wrote My Agent/Agentfile"]);
    let text = world.read("My Agent/Agentfile");
    assert!(text.contains("AGENT my-agent\n"), "{text}");
    world.write("My Agent/Agentfile", "mine");
    world.ends(["init", "My Agent"], 1).err_has(&["exists already", "--force"]);
    assert_eq!(world.read("My Agent/Agentfile"), "mine");
    world.ends(["init", "My Agent", "--force"], 0);
    assert_eq!(world.read("My Agent/Agentfile"), text);
}

#[test]
fn init_follows_no_link_out_of_the_folder() {
    let world = World::new();
    std::fs::write(world.outside("target"), "kept").unwrap();
    std::os::unix::fs::symlink(world.outside("target"), world.path("Agentfile")).unwrap();
    world.ends(["init"], 1);
    world.ends(["init", "--force"], 0);
    assert_eq!(std::fs::read_to_string(world.outside("target")).unwrap(), "kept");
    assert!(world.path("Agentfile").symlink_metadata().unwrap().is_file());
}

#[test]
fn a_hostile_folder_name_is_shown_escaped() {
    let world = World::new();
    world.ends(["init", "a\u{1b}[2Jb\u{202e}"], 0).plain().out_has(&["a\\x1b[2Jb\\u{202e}/Agentfile"]);
}
