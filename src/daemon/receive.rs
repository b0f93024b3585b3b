//! What the raw sockets bring, to the engine.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;
use std::time::Duration;

use super::sockets::Heard;
use super::{Control, perform_actions};
use crate::io::Input;
use crate::sys::frames::FrameSocket;
use crate::sys::rawsock::Batch;
use crate::types::Mac;
use crate::wire::{arp, ndisc};

/// More packets than a socket's receive buffer can hold, so whatever waited before a deadline is
/// read before its `Tick`; and an end, so that a flood cannot keep the ticks away (rule R37).
const PACKETS_PER_ROUND: usize = 4096;

/// Packets closer together than this are worth waiting for more: on a segment with hundreds of
/// routers most of the cost of an advert is waking up for it.
const BUSY: Duration = Duration::from_millis(2);

/// How long packets may wait then. Deadlines do not wait, and every `Tick` reads the sockets first,
/// so all this can do is make a silence seem to begin that much later: a tenth of the shortest
/// interval there is.
const GATHER: Duration = Duration::from_millis(1);

impl Control {
    /// Read every socket empty; returns whether it had to stop before that.
    pub(super) fn read_sockets(&mut self) -> ControlFlow<(), bool> {
        let mut budget = PACKETS_PER_ROUND;
        // Those that were reported before may have more by now: they do not report it themselves.
        let mut next = 0;
        loop {
            while let Some(&token) = self.reported.get(next) {
                budget = budget.saturating_sub(self.read_socket(token, budget)?);
                if budget == 0 {
                    return ControlFlow::Continue(true);
                }
                next += 1;
            }
            match self.effects.sockets.ready(&mut self.reported) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!("ask which sockets are ready: {}", crate::sys::cause(&error));
                    break;
                }
            }
        }
        if budget < PACKETS_PER_ROUND {
            let now = self.clock.now();
            if now.since(self.last_packet) < BUSY {
                self.gathering = Some(now + GATHER);
            }
            self.last_packet = now;
        }
        ControlFlow::Continue(false)
    }

    /// Read one socket empty or until `budget` is spent; returns what it cost.
    fn read_socket(&mut self, token: u64, budget: usize) -> ControlFlow<(), usize> {
        let mut spent = 0;
        // A socket may be closed by what an earlier packet brought.
        while let Some((iface, heard)) = self.effects.sockets.heard(token) {
            let receiver = match heard {
                Heard::Adverts(receiver) => receiver,
                Heard::Announcements(frames) => {
                    match announcement(frames) {
                        // Nothing read costs nothing: the loop would wait for more of it for ever.
                        Ok(None) => break,
                        Ok(Some(Some(news))) => {
                            let input = match news {
                                Neighbour::Announced(vip, mac) => {
                                    Input::Announced { iface, vip, mac }
                                }
                                Neighbour::Located(address, mac) => {
                                    Input::Located { iface, address, mac }
                                }
                            };
                            self.engine.handle(self.clock.now(), input);
                            self.perform_actions()?;
                        }
                        Ok(Some(None)) => {}
                        Err(error) => {
                            tracing::debug!("listen on interface {iface}: {error}");
                        }
                    }
                    spent += 1;
                    if spent >= budget {
                        break;
                    }
                    continue;
                }
            };
            match self.batch.receive(receiver) {
                Ok(received) => {
                    for datagram in self.batch.datagrams() {
                        let now = self.clock.now();
                        self.engine.handle(now, Input::Packet { iface, datagram });
                        if perform_actions(&mut self.engine, &mut self.effects, &self.clock)
                            .is_break()
                        {
                            return ControlFlow::Break(());
                        }
                    }
                    spent += received;
                    if received < Batch::SLOTS || spent >= budget {
                        break;
                    }
                }
                Err(error) => {
                    // Reported once per event (the interface went down); links tell the rest.
                    tracing::debug!("receive on interface {iface}: {error}");
                    spent += 1;
                    if spent >= budget {
                        break;
                    }
                }
            }
        }
        ControlFlow::Continue(spent)
    }
}

/// An address another host has, and where that is.
enum Neighbour {
    /// It announced it.
    Announced(IpAddr, Mac),
    /// It answers for it.
    Located(IpAddr, Mac),
}

/// The next frame of another host, if there is one, and what it says.
fn announcement(frames: &FrameSocket) -> io::Result<Option<Option<Neighbour>>> {
    let mut buffer = [0; 128];
    let Some(received) = frames.receive(&mut buffer)? else { return Ok(None) };
    let payload = buffer.get(14..received.length.min(buffer.len())).unwrap_or_default();
    let announced = |(vip, mac): (IpAddr, Mac)| Neighbour::Announced(vip, mac);
    let located = |(vip, mac): (IpAddr, Mac)| Neighbour::Located(vip, mac);
    let v4 = |(vip, mac): (Ipv4Addr, Mac)| (IpAddr::V4(vip), mac);
    let v6 = |(vip, mac): (Ipv6Addr, Mac)| (IpAddr::V6(vip), mac);
    Ok(Some(
        (arp::parse_announcement(payload).map(v4).map(announced))
            .or_else(|| arp::parse_answer(payload).map(v4).map(located))
            .or_else(|| ndisc::parse_unsolicited(payload).map(v6).map(announced))
            .or_else(|| ndisc::parse_answer(payload).map(v6).map(located)),
    ))
}
