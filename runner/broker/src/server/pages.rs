//! A list that a server tells in several answers.

use rmcp::model::PaginatedRequestParams;

/// Most answers in which it may tell one.
const PAGES: usize = 64;

/// Asks for page after page, and hands on what is on each. `telling` begins the sentence that says that there are too many.
///
/// # Errors
/// What `page` and `take` say, and a list without an end.
pub(super) async fn each<T>(
    telling: &str,
    page: impl AsyncFn(Option<PaginatedRequestParams>) -> Result<(Vec<T>, Option<String>), String>,
    mut take: impl FnMut(Vec<T>) -> Result<(), String>,
) -> Result<(), String> {
    let mut params = None;
    for _ in 0..PAGES {
        let (things, next) = page(params).await?;
        take(things)?;
        let Some(cursor) = next else { return Ok(()) };
        params = Some(PaginatedRequestParams::default().with_cursor(Some(cursor)));
    }
    Err(format!("{telling} in more than {PAGES} answers"))
}
