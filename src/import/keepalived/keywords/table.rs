//! The keywords themselves, block by block. How the types read: [`super`].

use super::{Body, Class, Keyword};

const LAST_ADVERT: &str =
    "one last advert before yielding: on by default, off in keepalived and strict mode";
const MANY: usize = usize::MAX;

const fn keyword(
    name: &'static str,
    args: (usize, usize),
    body: Body,
    class: Class,
    text: &'static str,
) -> Keyword {
    Keyword { name, args, body, class, text }
}

/// Honoured, with exactly this many arguments.
const fn yes(name: &'static str, args: usize, text: &'static str) -> Keyword {
    keyword(name, (args, args), Body::No, Class::Honoured, text)
}

/// Read before anything else.
const fn line(name: &'static str, text: &'static str) -> Keyword {
    keyword(name, (0, MANY), Body::Any, Class::Honoured, text)
}

/// Honoured, with an optional boolean.
const fn flag(name: &'static str, text: &'static str) -> Keyword {
    keyword(name, (0, 1), Body::No, Class::Honoured, text)
}

/// Honoured, a command or path with whom it belongs to.
const fn told(name: &'static str, least: usize, most: usize, text: &'static str) -> Keyword {
    keyword(name, (least, most), Body::No, Class::Honoured, text)
}

/// Honoured, a block.
const fn block(name: &'static str, args: usize, text: &'static str) -> Keyword {
    keyword(name, (args, args), Body::Yes, Class::Honoured, text)
}

/// Without effect, and why nothing is lost.
const fn quiet(name: &'static str, text: &'static str) -> Keyword {
    keyword(name, (0, MANY), Body::Any, Class::Quiet, text)
}

/// Without effect, with a warning.
const fn unsupported(name: &'static str, warning: &'static str) -> Keyword {
    keyword(name, (0, MANY), Body::Any, Class::Warned(warning), "")
}

/// An error.
const fn refused(name: &'static str, why: &'static str, instead: &'static str) -> Keyword {
    keyword(name, (0, MANY), Body::Any, Class::Refused(why, instead), "")
}

/// An error, but no virtual router depends on it.
const fn apart(name: &'static str, why: &'static str, instead: &'static str) -> Keyword {
    keyword(name, (0, MANY), Body::Any, Class::Apart(why, instead), "")
}

const COMMAND: &str = "`\"COMMAND\" [USER [GROUP]]`, with keepalived's words; commands of one instance or \
                       group run one after the other; the next waits a minute at most";
const ALERT: &str = "changes of state are mailed; false means false";
const PRIORITIES: &str = "FIFOs get a line when the priority changes; false means false";
const SNMP: &str = "no SNMP agent; the status socket serves the same numbers";
const DBUS: &str = "no D-Bus service; the status socket serves the same facts";
const ONE_PROCESS: &str = "for a process vipd does not have; the vrrp_ setting is for its only one";
const FROM_THE_START: &str =
    "for being raised after a late timer: the threads that decide run with SCHED_RR from the start";
const LOOPS: &str =
    "ends a process that loops with real-time priority: the service manager's watchdog does";
const FIREWALL: &str = "only for no_accept, which is refused, so there is nothing to filter";
const LVS: &str = "no IPVS in vipd; it means nothing without virtual servers";
const SYNC_DAEMON: &str =
    "the kernel's IPVS sync daemon is not started; `ipvsadm --start-daemon` does";
const VMAC: &str = "only for virtual MACs, which are refused where they are asked for";
const KNOWN_PEERS: &str = "always so: adverts from anyone but a listed peer are refused";
const BUFFERS: &str =
    "vipd gives the kernel's events 2 MiB, and reads everything again if that overflows";
const RELOAD: &str = "a reload always checks the new files first and happens on request only";
const DUMPS: &str = "keepalived ignores it too: the file is keepalived.stats or .json in $TMPDIR";
const LINK: &str = "the kernel reports every driver's carrier at once; polling would only be later";
const WHILE_MASTER: &str =
    "vipd's own: a command that is run while master until it succeeds, and again now and then";
const WHILE_MASTER_INTERVAL: &str =
    "vipd's own: seconds from a success to the next run, 30 without it";
const NOTIFY_TIMEOUT: &str = "vipd's own: the most seconds a command may take; no limit without it";
const NO_BFD: &str = "vipd speaks no BFD, and without it the election would differ";
const NO_LVS: &str = "vipd is no IPVS load balancer";
const KEEP_LVS: &str =
    "keep keepalived for the virtual servers (`keepalived -C`), and run vipd with `-P` beside it";
const NO_HMAC: &str = "auth_hmac is not supported yet, and peers would drop unsigned adverts";
const OWNER: &str =
    "with priority 255: adverts of others are refused and counted; always so in strict mode";
const STALL: &str = "with nopreempt: a master that stalled for so long that a peer of this priority, 254 by default, has \
     taken over becomes backup; without the keyword it does after four intervals";
const EXTRA: &str = "`all SECONDS`: announcements, one per address, on other interfaces than the instance's own; without \
     all it is for virtual MACs only, which are refused where they are asked for";
const INTERVAL: &str = "seconds, 1 if absent; runs never overlap";
const WEIGHT: &str =
    "-253 to 253 (a process: 254), optionally reverse; 0, the default, means FAULT on failure";
const TRACK_SCRIPT: &str = "names of vrrp_script and #vipd check, each with an optional weight of its own; defined anywhere";
const TRACK_INTERFACE: &str =
    "up and with carrier; the instance's own interface is tracked without being listed";
const TRACK_FILE_HERE: &str = "names of track_file, each with an optional weight of its own";
const TRACK_PROCESS_HERE: &str =
    "names of vrrp_track_process, each with an optional weight of its own";
const TRACK_LISTENER: &str = "vipd only: names of listeners, which are the sections of a haproxy.cfg given \
     beside this file, each with an optional weight, -20 by default; never FAULT";
const FOR_EVERY_MEMBER: &str = "as in vrrp_instance, for every member";
const ANNOUNCE: &str = "as keepalived; the instance's own value wins, wherever global_defs stands";

pub(super) const PREPROCESSOR: &[Keyword] = &[
    line("include", "relative to the including file; a pattern without a match is a warning"),
    line("includer", "as include: a file that cannot be read is always an error"),
    line("includem", "as include; a name without wildcards that matches nothing is an error"),
    line("includew", "as includem; wildcards that match nothing are an error as well"),
    line("includeb", "as includem; every alternative in braces must match"),
    line("includea", "all of these"),
    line("@ID", "the rest of the line is for the node with this config id"),
    line("@^ID", "the rest of the line is for all other nodes"),
    line(
        "$NAME=",
        "a definition; used as ${NAME}, or as $NAME before a blank, `,`, `)` or the end",
    ),
    line("${_PWD}", "directory of the file"),
    line(
        "${_INSTANCE}",
        "the config id, as in keepalived; the keyword instance does not change it",
    ),
    line("${_RANDOM}", "a number, 0 to 32767 or as in ${_RANDOM 1 6}; the same at every reload"),
    line("${_HASH}", "a # that begins no comment"),
    line("${_BANG}", "a ! that begins no comment"),
    line("${_ENV}", "${_ENV NAME}: a variable of the environment"),
    line("~SEQ", "repeats the rest of the line: ~SEQ(NAME, start, step, end)"),
    line("~SEQx", "as ~SEQ, with hexadecimal numbers"),
    line("~LST", "repeats the rest of the line for each value: ~LST(NAME, value, value)"),
];

pub(super) const ROOT: &[Keyword] = &[
    block(
        "global_defs",
        0,
        "may stand anywhere and more than once: settings are resolved at the end",
    ),
    block(
        "interface_up_down_delays",
        0,
        "for how long a link must be down or up before it counts, up to 255 s; a second value left out \
         is 0, which is what keepalived does (its manual says: the first)",
    ),
    block("vrrp_instance", 1, "one virtual router"),
    block(
        "vrrp_sync_group",
        1,
        "its members change state together; a router belongs to one group at most",
    ),
    block("vrrp_script", 1, "a command that is run again and again"),
    block("track_file", 1, "a file that begins with a number"),
    block("vrrp_track_file", 1, "old name of track_file"),
    block("vrrp_track_process", 1, "a number of processes"),
    block(
        "vipd_check",
        1,
        "vipd only: a check that needs no script; tracked by its name in track_script",
    ),
    block("garp_group", 0, "interfaces behind one switch, which gets announcements one at a time"),
    block(
        "static_ipaddress",
        0,
        "one address per line, there from the start to an orderly stop; put back if somebody removes it; \
         one that was there before is left there",
    ),
    block("track_group", 1, "the instances that need the static addresses with this track_group"),
    apart(
        "static_routes",
        "vipd does not set static routes",
        "let the network configuration of the system set them",
    ),
    apart(
        "static_rules",
        "vipd does not set static rules",
        "let the network configuration of the system set them",
    ),
    yes(
        "net_namespace",
        1,
        "the daemon enters it before it opens anything (CAP_SYS_ADMIN); the run directory becomes \
         /run/vipd/NAME; a reload cannot change it",
    ),
    yes(
        "instance",
        1,
        "several daemons side by side: the run directory becomes /run/vipd/NAME, below that of a \
         namespace; a reload cannot change it",
    ),
    apart(
        "bfd_instance",
        "vipd speaks no BFD",
        "use a shorter advert_int with version 3 instead of track_bfd",
    ),
    apart("virtual_server", NO_LVS, KEEP_LVS),
    apart("virtual_server_group", NO_LVS, KEEP_LVS),
    apart("SSL", NO_LVS, KEEP_LVS),
    quiet("linkbeat_use_polling", LINK),
    quiet("linkbeat_interfaces", LINK),
    quiet("net_namespace_ipvs", LVS),
    quiet("namespace_with_ipsets", FIREWALL),
    quiet(
        "use_pid_dir",
        "the pid file always has a directory of its own, the run directory; `vipd run --pid FILE` \
         writes another",
    ),
    quiet("child_wait_time", "there are no child processes to wait for"),
];

pub(super) const GLOBALS: &[Keyword] = &[
    yes("router_id", 1, "the node's name in messages; never on the wire"),
    yes("vrrp_version", 1, "version of IPv4 instances without their own; 2 if absent"),
    flag(
        "vrrp_strict",
        "as RFC 5798 demands, but the addresses stay reachable (no no_accept); a password is dropped with a warning",
    ),
    flag("vrrp_skip_check_adv_addr", "address lists of a master already followed are not compared"),
    yes("vrrp_garp_master_delay", 1, ANNOUNCE),
    yes("vrrp_garp_master_repeat", 1, ANNOUNCE),
    yes("vrrp_garp_master_refresh", 1, ANNOUNCE),
    yes("vrrp_garp_master_refresh_repeat", 1, ANNOUNCE),
    yes("vrrp_garp_lower_prio_delay", 1, ANNOUNCE),
    yes("vrrp_garp_lower_prio_repeat", 1, ANNOUNCE),
    yes(
        "vrrp_garp_interval",
        1,
        "pause between gratuitous ARPs on one interface; 0 is accepted, packaged samples contain it",
    ),
    yes("vrrp_gna_interval", 1, "the same for unsolicited neighbour advertisements"),
    keyword("vrrp_garp_extra_if", (1, 2), Body::No, Class::Honoured, EXTRA),
    keyword("vrrp_vmac_garp_intvl", (1, 2), Body::No, Class::Honoured, EXTRA),
    flag("vrrp_min_garp", "one announcement, no second batch"),
    flag("vrrp_lower_prio_no_advert", "a master does not answer a lower priority"),
    flag("vrrp_higher_prio_send_advert", LAST_ADVERT),
    yes("vrrp_down_timer_adverts", 1, "adverts missed before taking over"),
    flag("vrrp_owner_ignore_adverts", OWNER),
    keyword(
        "v3_checksum_as_v2",
        (0, 1),
        Body::No,
        Class::Honoured,
        "the VRRPv3 checksum over IPv4 leaves the pseudo-header out; any form sets it, as in keepalived",
    ),
    yes("vrrp_mcast_group4", 1, "group of IPv4 adverts"),
    yes("vrrp_mcast_group6", 1, "group of IPv6 adverts"),
    yes("vrrp_startup_delay", 1, "listen only for this long after the start"),
    yes(
        "vrrp_delay_after_boot",
        1,
        "the same, counted from when the system was booted; the longer of the two counts",
    ),
    yes("log_unknown_vrids", 0, "log adverts for a VRID nobody here has"),
    yes("vipd_control_group", 1, "vipd only: members of this group may command the daemon"),
    flag("vipd_realtime", "vipd only: SCHED_RR for the threads that decide; on by default"),
    quiet(
        "dynamic_interfaces",
        "always so: an absent interface means FAULT, never an exit, and one that returns is used \
         whatever its type, as with allow_if_changes",
    ),
    yes("default_interface", 1, "where static addresses without dev go; eth0 if it is absent"),
    quiet("disable_local_igmp", VMAC),
    quiet("vrrp_check_unicast_src", KNOWN_PEERS),
    quiet("vrrp_iptables", FIREWALL),
    quiet("vrrp_ipsets", FIREWALL),
    quiet("nftables", FIREWALL),
    quiet("nftables_priority", FIREWALL),
    quiet("nftables_counters", FIREWALL),
    quiet("nftables_ifindex", FIREWALL),
    quiet("nftables_ipvs", LVS),
    quiet("nftables_ipvs_priority", LVS),
    quiet("nftables_ipvs_start_fwmark", LVS),
    quiet("vmac_prefix", VMAC),
    quiet("vmac_addr_prefix", VMAC),
    yes(
        "vrrp_rx_bufs_policy",
        1,
        "MTU, ADVERT or bytes: what each instance adds to the receive buffer of its socket; 1 MiB per \
         socket without it",
    ),
    yes("vrrp_rx_bufs_multiplier", 1, "how many MTUs or adverts, 3 by default"),
    block(
        "notification_email",
        0,
        "the recipients, a name alone at localhost; without one, or without smtp_server, no mail",
    ),
    yes("notification_email_from", 1, "vipd@HOST without it"),
    told("smtp_server", 1, 2, "`HOST [PORT]`; a name is looked up when mail is sent"),
    yes("smtp_helo_name", 1, "the host's name without it"),
    yes("smtp_connect_timeout", 1, "30 without it; for every answer, not only the connection"),
    flag("smtp_alert", "the default of instances and groups; smtp_alert_vrrp wins"),
    flag("smtp_alert_vrrp", "the default of instances and groups"),
    quiet("smtp_alert_checker", LVS),
    yes("no_email_faults", 0, "changes to FAULT are not mailed"),
    told(
        "startup_script",
        1,
        3,
        "run to its end before anything else; vipd starts all the same if it fails",
    ),
    told("shutdown_script", 1, 3, "run when everything else is over"),
    yes("startup_script_timeout", 1, "10 without it"),
    yes("shutdown_script_timeout", 1, "10 without it"),
    keyword(
        "script_user",
        (1, 2),
        Body::No,
        Class::Honoured,
        "user and group of the scripts that do not say it themselves; without it keepalived_script, \
         if there is such an account, else as vipd runs",
    ),
    flag(
        "enable_script_security",
        "a script run as root that others could have changed is not run, and has failed",
    ),
    unsupported("set_supplementary_groups", "scripts have the one group that is named for them"),
    quiet("use_symlink_paths", "a script is started by the path that is written"),
    told(
        "notify_fifo",
        1,
        3,
        "`PATH [USER [GROUP]]`; kept open through a reload, losses are counted",
    ),
    told("vrrp_notify_fifo", 1, 3, "as notify_fifo, beside it"),
    quiet("lvs_notify_fifo", LVS),
    told("notify_fifo_script", 1, 3, "reads notify_fifo; started again if it ends"),
    told("vrrp_notify_fifo_script", 1, 3, "the same for vrrp_notify_fifo"),
    quiet("lvs_notify_fifo_script", LVS),
    flag("vrrp_notify_priority_changes", "the default of instances"),
    yes("fifo_write_vrrp_states_on_reload", 0, "a reload writes every state to the FIFOs again"),
    quiet("max_auto_priority", FROM_THE_START),
    quiet("min_auto_priority_delay", FROM_THE_START),
    yes("vrrp_priority", 1, "the niceness of the daemon, -20 to 19"),
    quiet("checker_priority", ONE_PROCESS),
    quiet("bfd_priority", ONE_PROCESS),
    yes(
        "vrrp_rt_priority",
        1,
        "SCHED_RR priority of the threads that decide, 1 to 99; 1 without it, which is before \
         every ordinary process already",
    ),
    quiet("checker_rt_priority", ONE_PROCESS),
    quiet("bfd_rt_priority", ONE_PROCESS),
    quiet("vrrp_rlimit_rttime", LOOPS),
    quiet("checker_rlimit_rttime", ONE_PROCESS),
    quiet("bfd_rlimit_rttime", ONE_PROCESS),
    quiet("vrrp_rlimit_rtime", LOOPS),
    quiet("checker_rlimit_rtime", ONE_PROCESS),
    quiet("bfd_rlimit_rtime", ONE_PROCESS),
    yes("vrrp_no_swap", 0, "the daemon's memory is locked, if RLIMIT_MEMLOCK permits it"),
    quiet("checker_no_swap", ONE_PROCESS),
    quiet("bfd_no_swap", ONE_PROCESS),
    keyword(
        "vrrp_cpu_affinity",
        (1, MANY),
        Body::No,
        Class::Honoured,
        "the processors the daemon may run on",
    ),
    quiet("checker_cpu_affinity", ONE_PROCESS),
    quiet("bfd_cpu_affinity", ONE_PROCESS),
    quiet(
        "process_names",
        "the one process is called vipd unless vrrp_process_name or process_name says otherwise",
    ),
    keyword(
        "vrrp_process_name",
        (0, 1),
        Body::No,
        Class::Honoured,
        "what ps and pgrep call the daemon; without a name it stays vipd",
    ),
    keyword(
        "process_name",
        (0, 1),
        Body::No,
        Class::Honoured,
        "as vrrp_process_name, which goes before: there is one process",
    ),
    quiet("checker_process_name", ONE_PROCESS),
    quiet("lvs_process_name", ONE_PROCESS),
    quiet("bfd_process_name", ONE_PROCESS),
    quiet("snmp_socket", SNMP),
    quiet("enable_snmp_vrrp", SNMP),
    quiet("enable_snmp_keepalived", SNMP),
    quiet("enable_snmp_checker", SNMP),
    quiet("enable_snmp_rfc", SNMP),
    quiet("enable_snmp_rfcv2", SNMP),
    quiet("enable_snmp_rfcv3", SNMP),
    quiet("enable_traps", SNMP),
    quiet("snmp_vs_stats_update_interval", SNMP),
    quiet("snmp_rs_stats_update_interval", SNMP),
    quiet("enable_dbus", DBUS),
    quiet("dbus_service_name", DBUS),
    quiet("dbus_no_interface_name", DBUS),
    quiet("vrrp_netlink_cmd_rcv_bufs", BUFFERS),
    quiet("vrrp_netlink_cmd_rcv_bufs_force", BUFFERS),
    quiet("vrrp_netlink_monitor_rcv_bufs", BUFFERS),
    quiet("vrrp_netlink_monitor_rcv_bufs_force", BUFFERS),
    quiet("lvs_netlink_cmd_rcv_bufs", LVS),
    quiet("lvs_netlink_cmd_rcv_bufs_force", LVS),
    quiet("lvs_netlink_monitor_rcv_bufs", LVS),
    quiet("lvs_netlink_monitor_rcv_bufs_force", LVS),
    quiet("process_monitor_rcv_bufs", BUFFERS),
    quiet("process_monitor_rcv_bufs_force", BUFFERS),
    quiet("reload_check_config", RELOAD),
    unsupported("reload_time_file", RELOAD),
    unsupported("reload_repeat", RELOAD),
    unsupported("reload_file", RELOAD),
    quiet("config_save_dir", "no copies are kept; `vipd check --explain` shows what is in use"),
    quiet("tmp_config_directory", "each file is read once, into memory"),
    quiet("data_use_instance", "the dump files are keepalived.data, .stats and .json in $TMPDIR"),
    yes("json_version", 1, "layout of keepalived.json, which SIGRTMIN+2 has written: 1 or 2"),
    yes(
        "state_dump_file",
        1,
        "where SIGUSR1 has the state written; $TMPDIR/keepalived.data by default",
    ),
    quiet("stats_dump_file", DUMPS),
    quiet("json_dump_file", DUMPS),
    quiet("iproute_usr_dir", "names of routing tables; vipd sets no routes"),
    quiet("iproute_etc_dir", "names of routing tables; vipd sets no routes"),
    yes(
        "umask",
        1,
        "for the files the daemon makes: a number (022) or bits (IWGRP|IWOTH); the control socket \
         has mode 0660 in any case; as inherited by default",
    ),
    yes(
        "random_seed",
        1,
        "seed of ${_RANDOM} from this line on; by default the name of the node, so that a reload finds the same numbers",
    ),
    keyword(
        "include_check",
        (0, MANY),
        Body::No,
        Class::Honoured,
        "makes patterns without a match errors: match, wildcard_match, brace_match, with + or -; a file that cannot be read is one always",
    ),
    unsupported("lvs_sync_daemon", SYNC_DAEMON),
    quiet("lvs_timeouts", LVS),
    quiet("lvs_flush", LVS),
    quiet("lvs_flush_on_stop", LVS),
    quiet("lvs_flush_onstop", LVS),
    quiet("checker_log_all_failures", LVS),
    quiet("rs_init_notifies", LVS),
    quiet("no_checker_emails", LVS),
];

pub(super) const INSTANCE: &[Keyword] = &[
    yes(
        "state",
        1,
        "MASTER clears nopreempt and preempt_delay, makes a missing priority 255 and is not undone by a later BACKUP; otherwise only the priority decides",
    ),
    yes("interface", 1, "may be absent at the start; not lo"),
    yes("virtual_router_id", 1, "1 to 255, once per interface and family"),
    yes("priority", 1, "1 to 255, default 100; 255 is for the owner of the addresses"),
    yes(
        "advert_int",
        1,
        "version 2: rounded to whole seconds; version 3: to steps of 10 ms up to 40.95 s; a warning names the result",
    ),
    yes("version", 1, "2 or 3; IPv6 is always 3"),
    block(
        "authentication",
        0,
        "version 2 only; dropped with a warning by version 3 and in strict mode",
    ),
    keyword(
        "virtual_ipaddress",
        (0, 0),
        Body::Yes,
        Class::Honoured,
        "one address per line; the first decides the family; more than 255 IPv4 or 90 IPv6 do not \
         fit an advert, and the rest is taken for excluded, with a warning; FAULT where the \
         interface's MTU holds less",
    ),
    keyword(
        "virtual_ipaddress_excluded",
        (0, 0),
        Body::Yes,
        Class::Honoured,
        "follow the state but are not in the packet; of either family",
    ),
    yes("no_virtual_ipaddress", 0, "allows a version 2 instance without addresses"),
    yes("nopreempt", 0, "cleared by state MASTER and by priority 255, with a warning"),
    yes("preempt", 0, "cancels nopreempt"),
    yes(
        "preempt_delay",
        1,
        "0 to 1000 s; cleared by state MASTER, nopreempt and strict mode, with a warning",
    ),
    yes("mcast_src_ip", 1, "source address of the adverts"),
    yes("unicast_src_ip", 1, "same as mcast_src_ip"),
    yes(
        "track_src_ip",
        0,
        "FAULT while no interface has the configured source; always so with unicast_peer",
    ),
    block(
        "unicast_peer",
        0,
        "adverts go to these nodes only and are accepted from them only, with any TTL unless min_ttl says \
         otherwise; a list without peers means multicast, with a warning, unless unicast_fault_no_peer is set; the \
         node's own address may be listed, so that one file suits all nodes",
    ),
    yes("unicast_fault_no_peer", 0, "unicast, and FAULT while the list has no peers"),
    yes("unicast_ttl", 1, "TTL or hop limit of adverts to peers, 255 by default in both families"),
    keyword(
        "old_unicast_checksum",
        (0, 1),
        Body::No,
        Class::Honoured,
        "version 3 over IPv4 unicast: the checksum keepalived before 1.3.7 sends and wants; it is not \
         recognised by itself, so never is what happens without the keyword",
    ),
    yes("mcast_dst_ip", 1, "the instance's own multicast group; not with unicast_peer"),
    flag("v3_checksum_as_v2", "version 3 over IPv4: checksum without the pseudo-header"),
    yes("dont_track_primary", 0, "an interface that is down does not mean FAULT"),
    yes(
        "promote_secondaries",
        0,
        "sets the sysctl of the instance's interface, whenever that appears; it stays set",
    ),
    yes("garp_master_delay", 1, ANNOUNCE),
    yes("garp_master_repeat", 1, ANNOUNCE),
    yes("garp_master_refresh", 1, ANNOUNCE),
    yes("garp_master_refresh_repeat", 1, ANNOUNCE),
    yes("garp_lower_prio_delay", 1, ANNOUNCE),
    yes("garp_lower_prio_repeat", 1, ANNOUNCE),
    keyword("garp_extra_if", (1, 2), Body::No, Class::Honoured, EXTRA),
    keyword("vmac_garp_intvl", (1, 2), Body::No, Class::Honoured, EXTRA),
    flag("lower_prio_no_advert", "a master does not answer a lower priority"),
    flag("higher_prio_send_advert", LAST_ADVERT),
    flag("vipd_lease", "vipd only: the kernel ends addresses a dead daemon left; on by default"),
    yes(
        "vipd_release",
        1,
        "vipd only: after-successor (default) keeps addresses answering at a planned hand-over, \
         now removes them at once",
    ),
    yes("down_timer_adverts", 1, "adverts missed before taking over, 1 to 100"),
    keyword("timer_expired_backup", (0, 1), Body::No, Class::Honoured, STALL),
    keyword("thread_timer_expired", (0, 1), Body::No, Class::Honoured, STALL),
    yes("accept", 0, "always so: nothing is filtered"),
    flag(
        "skip_check_adv_addr",
        "address lists of a master already followed are not compared; false means false",
    ),
    flag("strict_mode", "as vrrp_strict, for this instance"),
    flag("owner_ignore_adverts", OWNER),
    block("track_script", 0, TRACK_SCRIPT),
    block("track_interface", 0, TRACK_INTERFACE),
    block("track_file", 0, TRACK_FILE_HERE),
    block("track_process", 0, TRACK_PROCESS_HERE),
    block("vipd_track_listener", 0, TRACK_LISTENER),
    told("notify", 1, 3, COMMAND),
    told("notify_master", 1, 3, "once the addresses are in place"),
    told("notify_backup", 1, 3, "also at the start"),
    told("notify_fault", 1, 3, "also at the start"),
    told("notify_stop", 1, 3, "once the addresses are gone; the daemon waits up to 5 s"),
    told(
        "notify_deleted",
        0,
        3,
        "a removal is told as DELETED; without it as FAULT, and without notify_fault, as in keepalived",
    ),
    told("notify_master_rx_lower_pri", 1, 3, "at most twice a second"),
    flag("notify_priority_changes", PRIORITIES),
    flag("smtp_alert", ALERT),
    told("vipd_while_master", 1, 3, WHILE_MASTER),
    yes("vipd_while_master_interval", 1, WHILE_MASTER_INTERVAL),
    yes("vipd_notify_timeout", 1, NOTIFY_TIMEOUT),
    refused(
        "no_accept",
        "vipd does not filter traffic to the addresses",
        "remove it: every known use of the addresses needs them to answer",
    ),
    refused("auth_hmac", NO_HMAC, "leave this pair on keepalived until it is"),
    refused(
        "use_vmac",
        "virtual MAC addresses are not supported yet, and neighbours would see another MAC",
        "remove it on all nodes; gratuitous ARP then moves the addresses",
    ),
    refused(
        "use_vmac_addr",
        "virtual MAC addresses are not supported yet",
        "remove it on all nodes",
    ),
    refused(
        "use_ipvlan",
        "ipvlan interfaces are not supported",
        "remove it; the addresses then live on the interface itself",
    ),
    refused(
        "vrf",
        "VRFs are not supported yet, and the adverts would leave elsewhere",
        "leave this instance on keepalived",
    ),
    refused(
        "virtual_routes",
        "vipd sets no routes, and traffic would not find its way after a failover",
        "a route that both nodes can have all the time belongs in the system's network configuration; \
         leave the instance on keepalived if it has to move",
    ),
    refused(
        "virtual_rules",
        "vipd sets no routing rules, and traffic would not find its way after a failover",
        "set the rule for good in the system's network configuration, on both nodes: one for an address \
         matches nothing where the address is not",
    ),
    refused("track_bfd", NO_BFD, "use a shorter advert_int with version 3"),
    quiet("check_unicast_src", KNOWN_PEERS),
    quiet("vmac_xmit_base", VMAC),
    yes(
        "kernel_rx_buf_size",
        1,
        "bytes this instance adds to the receive buffer of its socket, whatever vrrp_rx_bufs_policy says",
    ),
    quiet("debug", "no effect in keepalived either"),
    quiet("native_ipv6", "deprecated, no effect in keepalived either"),
    quiet("linkbeat_use_polling", LINK),
    quiet("lvs_sync_daemon_interface", LVS),
];

pub(super) const AUTHENTICATION: &[Keyword] = &[
    yes("auth_type", 1, "PASS; AH is refused"),
    yes(
        "auth_pass",
        1,
        "the first 8 bytes, with a warning if there are more; it travels in clear text and guards against mistakes, not against people",
    ),
];

pub(super) const AUTH_HMAC: &[Keyword] = &[
    refused("key", NO_HMAC, "leave this pair on keepalived until it is"),
    refused("active_key", NO_HMAC, "leave this pair on keepalived until it is"),
    refused("anti_replay", NO_HMAC, "leave this pair on keepalived until it is"),
    refused("time_window", NO_HMAC, "leave this pair on keepalived until it is"),
    refused("mode", NO_HMAC, "leave this pair on keepalived until it is"),
];

pub(super) const ADDRESS: &[Keyword] = &[
    yes("dev", 1, "the interface the address lives on"),
    yes("scope", 1, "global, site, link, host, nowhere or 0 to 255"),
    yes("brd", 1, "an address, + (host bits set) or - (host bits clear); none by default"),
    yes("broadcast", 1, "same as brd"),
    yes("label", 1, "at most 15 bytes; a warning if it does not begin with the interface's name"),
    yes("peer", 1, "peer of a point-to-point address"),
    yes("home", 0, "IPv6 home address"),
    yes("-nodad", 0, "duplicate address detection, off by default"),
    yes("mngtmpaddr", 0, "IPv6 temporary addresses are derived from it"),
    yes("noprefixroute", 0, "the kernel adds no route for the network"),
    yes("autojoin", 0, "the kernel joins multicast groups on it"),
    yes("no_track", 0, "dev may be down without FAULT; nothing else, not even on a static address"),
    yes(
        "preferred_lft",
        1,
        "forever, 0 or seconds; 0 by default for an IPv6 /128, so that it is never chosen as a source",
    ),
    refused("use_vmac", "virtual MAC addresses are not supported yet", "remove it on all nodes"),
    yes(
        "track_group",
        1,
        "static addresses only: the instances of the group are in FAULT while it cannot be kept in place",
    ),
];

pub(super) const PEER: &[Keyword] = &[
    yes("min_ttl", 1, "lowest TTL accepted from this peer, any by default"),
    yes("max_ttl", 1, "highest TTL accepted from this peer, 255 by default"),
];

pub(super) const SYNC_GROUP: &[Keyword] = &[
    block("group", 0, "the members, one or several per line; they must exist"),
    block("track_script", 0, FOR_EVERY_MEMBER),
    block("track_interface", 0, FOR_EVERY_MEMBER),
    block("track_file", 0, FOR_EVERY_MEMBER),
    block("track_process", 0, FOR_EVERY_MEMBER),
    block("vipd_track_listener", 0, FOR_EVERY_MEMBER),
    refused("track_bfd", NO_BFD, "remove it"),
    told("notify", 1, 3, COMMAND),
    told("notify_master", 1, 3, "once the addresses are in place"),
    told("notify_backup", 1, 3, "also at the start"),
    told("notify_fault", 1, 3, "also at the start"),
    told("notify_stop", 1, 3, "once the addresses are gone; the daemon waits up to 5 s"),
    flag("smtp_alert", ALERT),
    told("vipd_while_master", 1, 3, WHILE_MASTER),
    yes("vipd_while_master_interval", 1, WHILE_MASTER_INTERVAL),
    yes("vipd_notify_timeout", 1, NOTIFY_TIMEOUT),
    quiet("global_tracking", "deprecated, no effect in keepalived either"),
    flag(
        "sync_group_tracking_weight",
        "weights move the priorities of the members; without it only FAULT is followed",
    ),
    quiet(
        "notify_priority_changes",
        "a group has no priority of its own; keepalived writes no line either",
    ),
];

pub(super) const SCRIPT: &[Keyword] = &[
    keyword(
        "script",
        (1, MANY),
        Body::No,
        Class::Honoured,
        "must be there; one quoted command, split into words without a shell; one that begins with \
         < is given to /bin/sh",
    ),
    yes("interval", 1, INTERVAL),
    yes(
        "timeout",
        1,
        "seconds; the interval if absent or 0; the whole process group is killed then",
    ),
    keyword("weight", (1, 2), Body::No, Class::Honoured, WEIGHT),
    yes("rise", 1, "successes in a row that end a failure; the first answer decides alone"),
    yes("fall", 1, "failures in a row that end a success; the first answer decides alone"),
    keyword("user", (1, 2), Body::No, Class::Honoured, "user and group"),
    flag("init_fail", "start as failed, until rise successes"),
    yes(
        "vipd_on_timeout",
        1,
        "vipd only: fail (default), or keep: a timeout then changes nothing, unless nothing is \
         known yet",
    ),
    flag(
        "vipd_listeners",
        "vipd only: vipd's listeners answer and nothing is run, the default for the usual checks of \
         HAProxy beside a haproxy.cfg; false: it is run",
    ),
];

pub(super) const CHECK: &[Keyword] = &[
    yes("tcp", 1, "HOST:PORT accepts a connection"),
    yes("http", 1, "URL (http or https) answers with a status that is expected"),
    yes("patroni", 1, "URL of Patroni's REST API: the node has the role"),
    yes("haproxy", 1, "path of HAProxy's stats socket, or URL of its stats page: the proxy serves"),
    yes("postgres", 1, "HOST:PORT (5432 if absent) speaks PostgreSQL: a server or PgBouncer"),
    yes("method", 1, "http: GET by default"),
    yes("status", 1, "http: statuses that are success, as 200,300-399; 200-299 by default"),
    yes("body", 1, "http: the answer must contain this text"),
    yes("host", 1, "http, patroni, haproxy: the Host header"),
    keyword(
        "header",
        (2, 2),
        Body::No,
        Class::Honoured,
        "http, patroni, haproxy: one more header, name and value; may be repeated",
    ),
    yes("ca", 1, "https: PEM file of the authorities that vouch for the server; the system's"),
    yes("cert", 1, "https: PEM file with the client's certificate chain"),
    yes("key", 1, "https: PEM file with its key"),
    yes("server_name", 1, "https: the name in the server's certificate"),
    flag("verify", "https: off believes every certificate"),
    yes(
        "role",
        1,
        "patroni: primary (default), replica, any, sync, async, quorum or standby-leader",
    ),
    yes("max_lag", 1, "patroni: how far a standby may be behind, in bytes or as 16MB"),
    yes("max_lag_time", 1, "patroni: the same in seconds"),
    keyword(
        "tag",
        (2, 2),
        Body::No,
        Class::Honoured,
        "patroni: a tag the node must have, name and value; may be repeated",
    ),
    yes("proxy", 1, "haproxy: the frontend, backend or listen section"),
    yes("side", 1, "haproxy: frontend, backend or every (default)"),
    yes("min_servers", 1, "haproxy: the fewest servers up of a backend, 1 by default"),
    yes("interval", 1, INTERVAL),
    yes("timeout", 1, "seconds; the interval if absent"),
    keyword("weight", (1, 2), Body::No, Class::Honoured, WEIGHT),
    yes("rise", 1, "as in vrrp_script"),
    yes("fall", 1, "as in vrrp_script, but 2 if absent"),
    flag("init_fail", "as in vrrp_script"),
    yes("on_timeout", 1, "as #vipd on_timeout in vrrp_script"),
];

pub(super) const TRACK_FILE: &[Keyword] = &[
    yes("file", 1, "must be there; a missing or empty file counts as 0"),
    keyword(
        "weight",
        (1, 2),
        Body::No,
        Class::Honoured,
        "-254 to 254, optionally reverse: times the number; 0: any number but 0 means FAULT; 1 if \
         absent",
    ),
    unsupported("init_file", "the file is not created; a missing one counts as 0"),
];

pub(super) const TRACK_PROCESS: &[Keyword] = &[
    keyword(
        "process",
        (1, MANY),
        Body::No,
        Class::Honoured,
        "must be there; a name, or with arguments the whole command line",
    ),
    keyword(
        "param_match",
        (0, 1),
        Body::No,
        Class::Honoured,
        "initial or partial; the arguments are equal if absent",
    ),
    flag("full_command", "compare the whole command line"),
    keyword("weight", (1, 2), Body::No, Class::Honoured, WEIGHT),
    yes("quorum", 1, "the fewest processes, 1 to 65535"),
    yes("quorum_max", 1, "the most, 0 to 65535; 0: there must be none"),
    yes("delay", 1, "seconds up to 3600 that a change must last; fork_delay and terminate_delay"),
    yes("fork_delay", 1, "the same for a quorum that is gained"),
    yes("terminate_delay", 1, "the same for one that is lost"),
    flag(
        "vipd_listeners",
        "vipd only: vipd's listeners answer and nothing is run, the default for the usual checks of \
         HAProxy beside a haproxy.cfg; false: it is run",
    ),
];

pub(super) const GARP_GROUP: &[Keyword] = &[
    yes("garp_interval", 1, "pause between gratuitous ARPs; left out: as vrrp_garp_interval"),
    yes("gna_interval", 1, "the same for neighbour advertisements: as vrrp_gna_interval"),
    yes("interface", 1, "an interface of the group, in one group only"),
    block("interfaces", 0, "the interfaces of the group, each in one group only"),
];

pub(super) const TRACK_GROUP: &[Keyword] = &[block("group", 0, "instances, which must exist")];

pub(super) const BFD: &[Keyword] = &[
    refused("neighbor_ip", NO_BFD, "remove the bfd_instance"),
    refused("neighbour_ip", NO_BFD, "remove the bfd_instance"),
    refused("source_ip", NO_BFD, "remove the bfd_instance"),
    refused("min_rx", NO_BFD, "remove the bfd_instance"),
    refused("min_tx", NO_BFD, "remove the bfd_instance"),
    refused("idle_tx", NO_BFD, "remove the bfd_instance"),
    refused("multiplier", NO_BFD, "remove the bfd_instance"),
    refused("passive", NO_BFD, "remove the bfd_instance"),
    refused("ttl", NO_BFD, "remove the bfd_instance"),
    refused("hoplimit", NO_BFD, "remove the bfd_instance"),
    refused("max_hops", NO_BFD, "remove the bfd_instance"),
    refused("multihop", NO_BFD, "remove the bfd_instance"),
    refused("weight", NO_BFD, "remove the bfd_instance"),
    refused("vrrp", NO_BFD, "remove the bfd_instance"),
    refused("checker", NO_BFD, "remove the bfd_instance"),
];
