//! What a server has besides tools: resources and prompts, listed within bounds, and read.

use std::time::Duration;

use rmcp::RoleClient;
use rmcp::model::{
    GetPromptRequestParams, GetPromptResponse, GetPromptResult, JsonObject, PaginatedRequestParams, Prompt,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource, ResourceTemplate,
};
use rmcp::service::{Peer, ServiceError};
use serde::Serialize;

use super::{PATIENCE, Server, pages};

/// How long a server may take for a list.
const LISTING: Duration = Duration::from_secs(20);
/// Most things in a list, and most bytes of it as JSON.
const THINGS: usize = 1024;
const BYTES: usize = 1 << 20;

type Page<T> = Result<(Vec<T>, Option<String>), ServiceError>;

impl Server {
    /// Its resources; of a server that says that it has none, none.
    ///
    /// # Errors
    /// It does not say, or says too much.
    pub(crate) async fn resources(&self) -> Result<Vec<Resource>, String> {
        let Some(peer) = self.peer_with(|has| has.resources.is_some())? else { return Ok(Vec::new()) };
        self.listed(async |params| {
            peer.list_resources(params).await.map(|page| (page.resources, page.next_cursor))
        })
        .await
    }

    /// Likewise the templates of its resources.
    pub(crate) async fn templates(&self) -> Result<Vec<ResourceTemplate>, String> {
        let Some(peer) = self.peer_with(|has| has.resources.is_some())? else { return Ok(Vec::new()) };
        self.listed(async |params| {
            peer.list_resource_templates(params).await.map(|page| (page.resource_templates, page.next_cursor))
        })
        .await
    }

    /// Likewise its prompts.
    pub(crate) async fn prompts(&self) -> Result<Vec<Prompt>, String> {
        let Some(peer) = self.peer_with(|has| has.prompts.is_some())? else { return Ok(Vec::new()) };
        self.listed(async |params| {
            peer.list_prompts(params).await.map(|page| (page.prompts, page.next_cursor))
        })
        .await
    }

    /// One resource.
    ///
    /// # Errors
    /// It has none of this URI, or gives none.
    pub(crate) async fn read(&self, uri: &str) -> Result<ReadResourceResult, String> {
        let peer = self.present()?;
        match self.given(peer.read_resource_once(ReadResourceRequestParams::new(uri))).await? {
            ReadResourceResponse::Complete(result) => Ok(result),
            _ => Err(self.asks_for_more()),
        }
    }

    /// One prompt, with these arguments.
    ///
    /// # Errors
    /// It has none of this name, or gives none.
    pub(crate) async fn prompt(
        &self,
        name: &str,
        arguments: Option<JsonObject>,
    ) -> Result<GetPromptResult, String> {
        let peer = self.present()?;
        let mut params = GetPromptRequestParams::new(name);
        params.arguments = arguments;
        match self.given(peer.get_prompt_once(params)).await? {
            GetPromptResponse::Complete(result) => Ok(result),
            _ => Err(self.asks_for_more()),
        }
    }

    /// Its connection, if it says that it has that.
    fn peer_with(
        &self,
        has: impl FnOnce(&rmcp::model::ServerCapabilities) -> bool,
    ) -> Result<Option<Peer<RoleClient>>, String> {
        let peer = self.present()?;
        let has = peer.peer_info().is_some_and(|info| has(&info.capabilities));
        Ok(has.then_some(peer))
    }

    /// A whole list.
    async fn listed<T: Serialize>(
        &self,
        page: impl AsyncFn(Option<PaginatedRequestParams>) -> Page<T>,
    ) -> Result<Vec<T>, String> {
        let all = async {
            let (mut all, mut bytes) = (Vec::new(), 0);
            let take = |things: Vec<T>| {
                bytes += serde_json::to_vec(&things).map_err(|error| error.to_string())?.len();
                all.extend(things);
                let more = all.len() > THINGS || bytes > BYTES;
                let why = || format!("the server `{}` lists more than can be looked at", self.name);
                if more { Err(why()) } else { Ok(()) }
            };
            let page = async |params| page(params).await.map_err(|error| self.failed(&error));
            let telling = format!("the server `{}` lists what it has", self.name);
            pages::each(&telling, page, take).await?;
            Ok(all)
        };
        let late =
            |_| format!("the server `{}` did not list what it has within {} s", self.name, LISTING.as_secs());
        tokio::time::timeout(LISTING, all).await.map_err(late)?
    }

    async fn given<T>(&self, asked: impl Future<Output = Result<T, ServiceError>>) -> Result<T, String> {
        let _one = self.calls.acquire().await.map_err(|_| "the broker ends".to_owned())?;
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(given) => given.map_err(|error| self.failed(&error)),
            Err(_) => Err(format!("it took more than {} s", PATIENCE.as_secs())),
        }
    }
}
