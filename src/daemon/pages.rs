//! Status pages: opened, kept open and closed by one task on the effects thread.
//!
//! The control thread only says what is wanted. A place that cannot be listened at is tried again
//! every second, and the log and the status say so, as with listeners.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::api::page::{Page, Seats, Source, serve, site};
use crate::config::Liveness;
use crate::config::{BindConfig, PageConfig, Shows};
use crate::page::Look;
use crate::status::PageStatus;
use crate::sys::tcp::{listen_alone, why_not};

/// How often what is not open is tried again.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Connections the kernel keeps until they are accepted.
const BACKLOG: u32 = 64;

/// How the pages are, for the status.
#[derive(Clone, Debug, Default)]
pub(super) struct PageStates(Arc<Mutex<Vec<PageStatus>>>);

impl PageStates {
    pub(super) fn all(&self) -> Vec<PageStatus> {
        self.states().clone()
    }

    fn states(&self) -> MutexGuard<'_, Vec<PageStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One place to listen at.
struct Place {
    bind: BindConfig,
    page: PageConfig,
    open: Option<Open>,
    /// Why it is not.
    failure: Option<String>,
}

struct Open {
    serving: JoinHandle<()>,
    site: watch::Sender<Router>,
}

/// Does what is wanted until nobody can want anything any more.
pub(super) async fn keep(
    mut wanted: mpsc::UnboundedReceiver<Vec<PageConfig>>,
    source: Source,
    states: PageStates,
) {
    let (source, seats) = (Arc::new(source), Arc::new(Seats::default()));
    let mut places: Vec<Place> = Vec::new();
    let mut again = interval(TRY_EVERY);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! { biased;
            pages = wanted.recv() => {
                let Some(pages) = pages else { return };
                fit(&mut places, &pages, &source).await;
            }
            // Nothing needs looking after where there is nothing.
            _ = again.tick(), if !places.is_empty() => {}
        }
        for place in &mut places {
            place.look_after(&source, &seats);
        }
        *states.states() = places.iter().map(Place::status).collect();
    }
}

/// Keeps what stays, closes what goes, and notes what comes.
async fn fit(places: &mut Vec<Place>, pages: &[PageConfig], source: &Arc<Source>) {
    let mut before = std::mem::take(places);
    for page in pages {
        for bind in &page.binds {
            let known = before.iter().position(|place| place.bind == *bind);
            let mut place = match known {
                Some(known) => before.swap_remove(known),
                None => Place { bind: bind.clone(), page: page.clone(), open: None, failure: None },
            };
            if place.page != *page {
                place.page = page.clone();
                if let Some(open) = &place.open {
                    let _ = open.site.send_replace(site(&page_of(page), Arc::clone(source)));
                }
            }
            places.push(place);
        }
    }
    for open in before.into_iter().filter_map(|place| place.open) {
        open.serving.abort();
        // Its port may be wanted again at once.
        let _ = open.serving.await;
    }
}

impl Place {
    /// Opens it, if it is not open.
    fn look_after(&mut self, source: &Arc<Source>, seats: &Arc<Seats>) {
        if self.open.as_ref().is_some_and(|open| !open.serving.is_finished()) {
            return;
        }
        let (address, path) = (self.bind.address, &self.page.path);
        match self.listen() {
            Ok(listener) => {
                let router = site(&page_of(&self.page), Arc::clone(source));
                let (site, router) = watch::channel(router);
                let seats = Arc::clone(seats);
                let serving = tokio::spawn(async move {
                    if let Err(error) = serve(listener, router, seats).await {
                        tracing::error!("the page at {address} is broken: {error}");
                    }
                });
                self.open = Some(Open { serving, site });
                let at_last = if self.failure.take().is_some() { " at last" } else { "" };
                let what = match self.page.shows {
                    Shows::Status => "the status is shown",
                    Shows::Metrics => "metrics are served",
                };
                tracing::info!("{what} at http://{address}{path}{at_last}");
            }
            Err(why) => {
                if self.failure.as_ref() != Some(&why) {
                    tracing::error!("cannot {why}; trying again every second");
                }
                (self.open, self.failure) = (None, Some(why));
            }
        }
    }

    fn listen(&self) -> Result<TcpListener, String> {
        let address = self.bind.address;
        let listening = listen_alone(&self.bind, BACKLOG, Liveness::default())
            .and_then(|socket| TcpListener::from_std(socket.into()));
        listening.map_err(|error| {
            format!("listen on {address} for page {}: {}", self.page.name, why_not(address, &error))
        })
    }

    fn status(&self) -> PageStatus {
        PageStatus {
            name: self.page.name.clone(),
            bind: self.bind.address,
            path: self.page.path.clone(),
            failure: self.failure.clone(),
        }
    }
}

fn page_of(config: &PageConfig) -> Page {
    let users = config.users.iter();
    Page {
        path: config.path.clone(),
        only_metrics: config.shows == Shows::Metrics,
        open_metrics: config.open_metrics,
        look: Look { refresh: config.refresh, json: config.json_path() },
        users: users.map(|user| (user.name.clone(), user.password.0.clone())).collect(),
    }
}
