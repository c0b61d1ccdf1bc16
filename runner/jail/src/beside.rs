//! What stands beside a sandbox and is heard by the supervisor: the gateway, the broker with those who enter for it, and the filter.

use crate::asking::converse;
use crate::pty::Relay;
use crate::supervise::Outside;
use crate::{Broker, Entrance, Filter, Gateway, Recorder, Unopened};

/// What serves the sandbox from outside, while the agent runs.
pub(crate) struct Beside<'a, 'b> {
    /// Its network.
    pub(crate) gateway: Option<&'a mut (dyn Gateway + 'static)>,
    /// Its tools, and where those enter.
    pub(crate) broker: Option<(&'a mut (dyn Broker + 'static), Entrance<'b>)>,
    /// What the kernel refuses it.
    pub(crate) filter: &'a mut dyn Filter,
}

impl Beside<'_, '_> {
    pub(crate) fn heard(
        &mut self,
        who: Outside,
        init: i32,
        recorder: &mut dyn Recorder,
    ) -> Result<(), String> {
        match (who, &mut self.gateway, &mut self.broker) {
            (Outside::Gateway, Some(gateway), _) => gateway.heard(init, recorder),
            (Outside::Broker, _, Some((broker, entrance))) => broker.heard(entrance, recorder),
            (Outside::Filter, ..) => self.filter.heard(init, recorder),
            // It answers while somebody enters, and says nothing else.
            (Outside::Zygote, ..) => {
                Err("the process that tools come from ended before the agent".to_owned())
            }
            (Outside::Gateway | Outside::Broker, ..) => Ok(()),
        }
    }

    /// Whether all is there that the agent waits for.
    pub(crate) fn is_up(&mut self) -> Result<bool, Unopened> {
        self.broker.as_mut().map_or(Ok(true), |(broker, _)| broker.is_up())
    }

    /// What a person can do about it.
    pub(crate) fn help(&self, reason: &str) -> Option<String> {
        self.broker.as_ref().and_then(|(broker, _)| broker.help(reason))
    }

    pub(crate) fn tick(&mut self, init: i32, recorder: &mut dyn Recorder) -> Result<(), String> {
        if let Some((broker, entrance)) = &mut self.broker {
            entrance.reap();
            broker.tick(entrance, recorder)?;
        }
        self.filter.heard(init, recorder)
    }

    pub(crate) fn converse(
        &mut self,
        relay: Option<&mut Relay>,
        recorder: &mut dyn Recorder,
    ) -> Result<(), String> {
        self.broker.as_mut().map_or(Ok(()), |(broker, _)| converse(relay, *broker, recorder))
    }

    /// Ends what has entered.
    pub(crate) fn end(&mut self) {
        if let Some((_, entrance)) = &mut self.broker {
            entrance.end();
        }
    }

    /// The agent has ended: hears the rest.
    pub(crate) fn finish(&mut self, recorder: &mut dyn Recorder) -> Result<(), String> {
        let told = self.gateway.as_mut().map_or(Ok(()), |gateway| gateway.finish(recorder));
        let brokered = self.broker.as_mut().map_or(Ok(()), |(broker, _)| broker.finish(recorder));
        told.and(brokered).and(self.filter.finish(recorder))
    }
}
