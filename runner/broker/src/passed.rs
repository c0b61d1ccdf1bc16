//! What is passed on of servers besides their tools: resources and prompts, of which only a policy on `mcp.request` permits any. Each
//! is known as a tool is, by its server's name and its own: `files.file:///data/a`, `files.summary`.

use agentfile::plan::Target;
use agentfile::server::tool_of;
use agentrc_audit::text::printable_text;
use agentrc_memory::Trust;
use rmcp::model::{
    GetPromptResult, Prompt, ReadResourceResult, Resource, ResourceContents, ResourceTemplate,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::call::{self, Broker};
use crate::facts::resource;
use crate::judge::{Asked, Verdict};
use crate::outcome::Outcome;
use crate::server::Server;

/// The protocol's methods, as policies see them.
const READ: &str = "resources/read";
const GET: &str = "prompts/get";
/// Longest name of a prompt, in bytes.
const NAME: usize = 256;

/// What is asked for.
struct Wanted<'a> {
    method: &'static str,
    /// As the record has it: `read`, `prompt`.
    verb: &'static str,
    /// With the server's name before it.
    name: &'a str,
    arguments: &'a Map<String, Value>,
    pid: i32,
}

impl Broker {
    /// Resources that may be read now.
    ///
    /// # Errors
    /// The limit that is reached, or there is too much of it.
    pub(crate) async fn resources(&self, pid: i32) -> Result<Vec<Resource>, Outcome> {
        let may = |server: &Server, one: &Resource| {
            resource(&one.uri).is_ok() && self.passes(server, READ, &one.uri)
        };
        let named = |server: &Server, one: &mut Resource| one.uri = format!("{}.{}", server.name, one.uri);
        self.listed("list resources of", pid, async |server| server.resources().await, may, named).await
    }

    /// Templates of resources, each decided about as if it were a resource.
    ///
    /// # Errors
    /// As for [`Broker::resources`].
    pub(crate) async fn templates(&self, pid: i32) -> Result<Vec<ResourceTemplate>, Outcome> {
        let may = |server: &Server, one: &ResourceTemplate| self.passes(server, READ, &one.uri_template);
        let named = |server: &Server, one: &mut ResourceTemplate| {
            one.uri_template = format!("{}.{}", server.name, one.uri_template);
        };
        self.listed("list templates of", pid, async |server| server.templates().await, may, named).await
    }

    /// Prompts that may be got now.
    ///
    /// # Errors
    /// As for [`Broker::resources`].
    pub(crate) async fn prompts(&self, pid: i32) -> Result<Vec<Prompt>, Outcome> {
        let may =
            |server: &Server, one: &Prompt| plain(&one.name).is_ok() && self.passes(server, GET, &one.name);
        let named = |server: &Server, one: &mut Prompt| one.name = format!("{}.{}", server.name, one.name);
        self.listed("list prompts of", pid, async |server| server.prompts().await, may, named).await
    }

    /// What all servers list, of which a policy may permit more than tools: counted and on record for each of them. One that does not
    /// say what it has does not hide what the others have; that is on record.
    async fn listed<T: Serialize + DeserializeOwned>(
        &self,
        verb: &str,
        pid: i32,
        ask: impl AsyncFn(&Server) -> Result<Vec<T>, String>,
        may: impl Fn(&Server, &T) -> bool,
        named: impl Fn(&Server, &mut T),
    ) -> Result<Vec<T>, Outcome> {
        let mut all = Vec::new();
        let mut bytes = 0;
        for server in self.servers.iter().filter(|server| server.more) {
            let act = format!("{verb} {}", server.name);
            self.counted(&server.targets(), &act, &act, pid).await.map_err(Outcome::Refused)?;
            let (call, ending) = self.begun(&act, "{}", server.origin.to_string(), pid);
            self.reporter.intent(call, &[]).await.map_err(Outcome::Error)?;
            // What it says of what it has is content, as an answer is.
            self.give(server.trust());
            let listed = ask(server).await.map(|listed| {
                let mut listed: Vec<T> = listed.into_iter().filter(|one| may(server, one)).collect();
                listed.iter_mut().for_each(|one| named(server, one));
                listed
            });
            let mut listed = match self.searched_too(listed, &act, pid).await {
                Ok(listed) => listed,
                Err(why) => {
                    ending.tell(&Outcome::Error(why));
                    continue;
                }
            };
            let value = serde_json::to_value(&listed).map_err(|error| Outcome::Error(error.to_string()))?;
            bytes += value.to_string().len();
            let most = self.limits.output();
            if bytes > most {
                let outcome = Outcome::Error(format!("the list has more than {most} bytes"));
                ending.tell(&outcome);
                return Err(outcome);
            }
            ending.tell(&Outcome::Value(value));
            all.append(&mut listed);
        }
        Ok(all)
    }

    /// Reads one resource.
    ///
    /// # Errors
    /// What the caller is told instead.
    pub(crate) async fn read(&self, name: &str, pid: i32) -> Result<ReadResourceResult, Outcome> {
        let wanted = Wanted { method: READ, verb: "read", name, arguments: &Map::new(), pid };
        let mut result = self.passed(&wanted, async |server, uri| server.read(uri).await).await?;
        if let Some((server, _)) = tool_of(name) {
            // Known to the caller by one name.
            for content in &mut result.contents {
                if let ResourceContents::TextResourceContents { uri, .. }
                | ResourceContents::BlobResourceContents { uri, .. } = content
                {
                    *uri = format!("{server}.{uri}");
                }
            }
        }
        Ok(result)
    }

    /// Gets one prompt.
    ///
    /// # Errors
    /// As for [`Broker::read`].
    pub(crate) async fn prompt(
        &self,
        name: &str,
        arguments: Option<Map<String, Value>>,
        pid: i32,
    ) -> Result<GetPromptResult, Outcome> {
        let given = arguments.clone().unwrap_or_default();
        let wanted = Wanted { method: GET, verb: "prompt", name, arguments: &given, pid };
        self.passed(&wanted, async |server, name| server.prompt(name, arguments).await).await
    }

    fn passes(&self, server: &Server, method: &str, name: &str) -> bool {
        self.request_judged(server, method, name).permitted
    }

    /// `mcp.request`, which waits for nobody: a plan that asks a person about it is refused before the start; this is the second lock on
    /// that.
    pub(crate) fn request_judged(&self, server: &Server, method: &str, name: &str) -> Verdict {
        let url = server.url();
        let mut verdict =
            self.judge.judge(&Asked::Server { name: &server.name, method, tool: name, url: &url });
        if verdict.permitted && !verdict.approvals.is_empty() {
            verdict.permitted = false;
            verdict.reason = "a person must approve it, and is asked about calls alone".to_owned();
        }
        verdict
    }

    /// One of these from its name to its result, as a call is.
    async fn passed<T: Serialize + DeserializeOwned>(
        &self,
        wanted: &Wanted<'_>,
        ask: impl AsyncFnOnce(&Server, &str) -> Result<T, String>,
    ) -> Result<T, Outcome> {
        let Wanted { method, verb, name, arguments, pid } = *wanted;
        let act = format!("{verb} {}", printable_text(name));
        let found = tool_of(name).and_then(|(server, own)| {
            let server = self.servers.iter().find(|known| known.more && known.name == server)?;
            Some((server, own))
        });
        let Some((server, own)) = found else {
            let reason = "nothing may be passed on of a server of this name";
            self.reporter.denied(&act, "refused", reason, "", pid).await;
            return Err(Outcome::Refused(format!("there is no `{}`", printable_text(name))));
        };
        if let Err(why) = if method == READ { resource(own) } else { plain(own) } {
            self.reporter.denied(&act, "invalid", why, &server.origin.to_string(), pid).await;
            return Err(Outcome::Error(format!("`{}` {why}", printable_text(name))));
        }
        let Verdict { permitted, rule, reason, .. } = self.request_judged(server, method, own);
        if !permitted {
            self.reporter.denied(&act, "refused", &reason, &rule, pid).await;
            let line = if rule.is_empty() { String::new() } else { format!(" ({rule})") };
            return Err(Outcome::Refused(format!("`{name}` is refused: {reason}{line}")));
        }
        self.counted(&server.targets(), &act, &act, pid).await.map_err(Outcome::Refused)?;
        let (call, ending) = self.begun(&act, &call::text(arguments), rule, pid);
        self.reporter.intent(call, &[]).await.map_err(Outcome::Error)?;
        // Before anything of its answer can be known.
        self.give(server.trust());
        let given = ask(server, own).await.and_then(|result| {
            let bytes = serde_json::to_vec(&result).map_err(|error| error.to_string())?;
            let most = self.limits.output();
            if bytes.len() > most {
                return Err(format!("the result has more than {most} bytes: ask for less"));
            }
            Ok(result)
        });
        ending.of(self.searched_too(given, &act, pid).await).map_err(Outcome::Error)
    }
}

impl Server {
    /// What limits count when it is asked for something.
    pub(crate) fn targets(&self) -> [Target; 1] {
        [Target::Server(self.name.clone())]
    }

    /// What its answers are.
    pub(crate) fn trust(&self) -> Trust {
        if self.networked { Trust::Network } else { Trust::Tool }
    }
}

/// Whether a prompt's name is one that is decided about as it is written.
fn plain(name: &str) -> Result<(), &'static str> {
    if name.len() <= NAME && !name.chars().any(char::is_control) {
        Ok(())
    } else {
        Err("is no name of a prompt: at most 256 bytes, without control characters")
    }
}
