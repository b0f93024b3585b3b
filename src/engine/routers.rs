//! The virtual routers, shared with whoever is writing a status of them.
//!
//! A status is written elsewhere, from the routers as they were. To take it costs one reference each;
//! a router that changes while somebody still looks at it is copied first.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::io::RouterId;
use crate::vrrp::router::Router;

/// By their ids.
#[derive(Debug, Default)]
pub(super) struct Routers(BTreeMap<RouterId, Arc<Router>>);

impl Routers {
    pub(super) fn get(&self, id: &RouterId) -> Option<&Router> {
        self.0.get(id).map(|router| &**router)
    }

    pub(super) fn get_mut(&mut self, id: &RouterId) -> Option<&mut Router> {
        self.0.get_mut(id).map(Arc::make_mut)
    }

    /// The router as it is now, whatever becomes of it.
    pub(super) fn share(&self, id: &RouterId) -> Option<Arc<Router>> {
        self.0.get(id).cloned()
    }

    pub(super) fn insert(&mut self, id: RouterId, router: Router) {
        self.0.insert(id, Arc::new(router));
    }

    pub(super) fn remove(&mut self, id: &RouterId) -> Option<Router> {
        self.0.remove(id).map(Arc::unwrap_or_clone)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Router> {
        self.0.values().map(|router| &**router)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&RouterId, &mut Router)> {
        self.0.iter_mut().map(|(id, router)| (id, Arc::make_mut(router)))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Router> {
        self.0.values_mut().map(Arc::make_mut)
    }
}
