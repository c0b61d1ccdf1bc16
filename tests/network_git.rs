//! Network: git over HTTPS, with a real server: clone, fetch and push, of what is declared and of nothing else.

use std::fs;

use agentrc_test_support::{Lab, World, as_each};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// Makes repositories on the host, as the lab's identity, in the folder that the servers give out.
#[track_caller]
fn make(lab: &Lab, world: &World<'_>, script: &str) {
    let mut shell = lab.command("/bin/sh");
    shell.args(["-euc", &format!("cd '{}'\n{script}", world.served("").display())]);
    lab.finish_command(shell).expect_code(0);
}

const COMMIT: &str = "/usr/bin/git -c user.name=t -c user.email=t@example.com commit -qm";

/// Git's own protocol over HTTP, of both versions: the server is `git http-backend`.
#[test]
fn git_clones_fetches_and_pushes_over_https() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        make(
            lab,
            &world,
            &format!(
                "git init -q -b main work && cd work && echo cloned > file && head -c 300000 /dev/urandom > big && git add . && {COMMIT} one &&\n\
                 for n in $(seq 200); do git tag tag-$n; done && cd .. && git clone -q --bare work repository.git &&\n\
                 git -C repository.git config http.receivepack true"
            ),
        );
        // A pack above `http.postBuffer` (1 MiB) goes out in chunks, and nobody knows its length before.
        let script = |branch: &str| {
            format!(
                "export HOME=/scratch GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example.com\ncd /scratch\n\
                 /usr/bin/git clone -q https://api.example.com/git/repository.git && cat repository/file && cd repository\n\
                 test $(/usr/bin/git tag | wc -l) = 200 && /usr/bin/git -c protocol.version=0 fetch -q origin\n\
                 head -c 3000000 /dev/urandom > pushed && git add pushed && {COMMIT} {branch}\n\
                 /usr/bin/git push -q origin HEAD:{branch} && /usr/bin/git rev-parse HEAD"
            )
        };
        for (line, branch) in
            [("URL https://api.example.com", "passed"), ("URL https://api.example.com/git", "seen")]
        {
            world.forget();
            let outcome = world.run(line, &format!("set -eu\n{}", script(branch)));
            outcome.expect_code(0);
            assert!(outcome.events_named("denial").is_empty(), "as {}: {:?}", lab.who.name, outcome.events);
            let out = outcome.out();
            let (first, commit) = out.trim_end().split_once('\n').unwrap_or_default();
            assert_eq!(first, "cloned", "as {}: {line}: {out}", lab.who.name);
            let reference = world.served("repository.git/refs/heads").join(branch);
            let arrived = fs::read_to_string(&reference).unwrap_or_default();
            assert_eq!(arrived.trim_end(), commit, "as {}: {line}: {out}", lab.who.name);
            let requests = world.requests();
            for (method, target) in [
                ("GET", "/git/repository.git/info/refs?service=git-upload-pack"),
                ("POST", "/git/repository.git/git-upload-pack"),
                ("POST", "/git/repository.git/git-receive-pack"),
            ] {
                let came = requests.iter().any(|one| one.method == method && one.target == target);
                assert!(came, "as {}: {line}: {method} {target}", lab.who.name);
            }
            let pushed = requests.iter().filter(|one| one.target.ends_with("/git-receive-pack"));
            assert!(pushed.clone().any(|one| one.body.len() > 3_000_000), "as {}: {line}", lab.who.name);
        }
    });
}

/// What a path rule declares is one repository, also when the server has others.
#[test]
fn git_reaches_only_the_repository_that_is_declared() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let repository = |name: &str| {
            format!(
                "git init -q -b main {name}-work && cd {name}-work && echo {name} > file && git add . && {COMMIT} one && cd .. &&\n\
                 git clone -q --bare {name}-work {name}.git && git -C {name}.git config http.receivepack true\n"
            )
        };
        make(lab, &world, &(repository("mine") + &repository("other")));
        let script = "export HOME=/scratch\ncd /scratch\n/usr/bin/git clone -q https://api.example.com/git/mine.git && cat mine/file\n\
            /usr/bin/git clone -q https://api.example.com/git/other.git; cd mine\n\
            /usr/bin/git push -q https://api.example.com/git/mine.git/../other.git HEAD:planted";
        let outcome = world.run("URL https://api.example.com/git/mine.git", script);
        assert!(outcome.out().starts_with("mine\n"), "as {}: {}", lab.who.name, outcome.out());
        let other: Vec<_> = world.asked().into_iter().filter(|one| one.contains("other.git")).collect();
        assert!(other.is_empty(), "as {}: {other:?}", lab.who.name);
        outcome.denial_of("GET https://api.example.com/git/other.git/info/refs");
        assert!(!world.served("other.git/refs/heads/planted").exists());
    });
}
