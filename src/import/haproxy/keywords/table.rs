//! The keywords themselves, place by place. How the types read: [`super`].

use super::{Class, Keyword};

const MANY: usize = usize::MAX;

const fn keyword(
    name: &'static str,
    args: (usize, usize),
    class: Class,
    text: &'static str,
) -> Keyword {
    Keyword { name, args, class, text }
}

/// Honoured, with exactly this many words.
const fn yes(name: &'static str, args: usize, text: &'static str) -> Keyword {
    keyword(name, (args, args), Class::Honoured, text)
}

/// Honoured, with this many words or more.
const fn long(name: &'static str, least: usize, text: &'static str) -> Keyword {
    keyword(name, (least, MANY), Class::Honoured, text)
}

/// Without effect, with this many words, and why nothing is lost.
const fn quiet(name: &'static str, args: usize, text: &'static str) -> Keyword {
    keyword(name, (args, args), Class::Quiet, text)
}

/// Without effect, with a warning.
const fn warned(name: &'static str, args: usize, text: &'static str) -> Keyword {
    keyword(name, (args, args), Class::Warned, text)
}

/// An error.
const fn refused(name: &'static str, why: &'static str, instead: &'static str) -> Keyword {
    keyword(name, (0, MANY), Class::Refused(instead), why)
}

const PROCESS: &str = "set these in the systemd unit";
const TUNING: &str = "vipd tunes itself: one thread for connections per CPU, buffers as needed";
const LOGS: &str = "vipd logs to the journal; connections are not logged";
const TLS: &str = "vipd passes TLS through and has no settings of its own for it";
const SOCKET: &str = "HAProxy's socket is not served; `vipd status --json` shows the same";
const MONITOR: &str = "vipd answers no such requests; its status page is there for that";
const LOOKS: &str = "vipd's page has looks of its own";
const LAYER_7: &str = "it is about HTTP, and vipd carries TCP";
const PASS: &str = "remove it; clients and servers speak HTTP through vipd as they are";
const DNS: &str =
    "names are resolved by the system in the background, and the last good address is kept";
const STICKY: &str = "vipd keeps no table of clients, and they would reach another server";
const BALANCE: &str = "use balance roundrobin, leastconn or first";
const PROXY_PROTOCOL: &str =
    "vipd does not speak the PROXY protocol, and what expects it refuses connections without it";
const NO_PROXY_PROTOCOL: &str = "remove it on both sides, or keep HAProxy for this section";
const CHECK_KIND: &str = "vipd has no such check, and a server would be up that is not";
const OTHER_CHECK: &str = "use option httpchk, option pgsql-check, or a plain check (TCP)";
const FILTERS: &str = "vipd cannot tell whom it lets in, and would let in everybody";
const FIREWALL: &str =
    "let a firewall on this host do it, for example `nft add rule` with `ip saddr`";
const SOURCE: &str = "vipd connects from the address the routing table says";
const NO_SOURCE: &str = "remove it; servers must accept the addresses of this host";
const AGENT: &str = "vipd asks no agent, and a server it drains would go on";
const NO_AGENT: &str = "remove it; for Patroni the role comes from its REST API";
const FAULTS: &str = "a connection that fails always brings the next check forward";
const SAFE: &str = "checks speak TLS 1.2 or 1.3 with safe ciphers, and nothing else";
const RESUMED: &str = "each check begins a TLS session of its own";
const KERNEL: &str = "left to the kernel's defaults";
const THREADS: &str = "each connection stays on the thread, one per CPU, that accepted it";
const RETRIES: &str =
    "a client whose server refuses is given another at once, for as long as it may wait";
const HALF_CLOSED: &str = "sessions one side of which has ended its stream are closed after this silence; the \
                           shorter of both counts";
const IDLE: &str =
    "sessions in which nothing moves are closed after this time; the shorter of both counts";
const KEEPALIVE: &str = "keepalive is always on, after 5 s of silence unless set otherwise";
const SPLICE: &str = "decided connection by connection";
const NAMES: &str = "for people only";
const PERSIST: &str = "it is about clients that stick to a server, and none do";
const OWN_ENVIRONMENT: &str = "vipd reads variables from its own environment only";
const NO_SESSIONS_KEPT: &str = "a reload changes the one process there is; sessions go on";
const UNIX: &str = "vipd listens at TCP ports only";
const STICKY_COOKIE: &str = "cookies are HTTP, and mode tcp has none";

pub(super) const SECTIONS: &[Keyword] = &[
    long("global", 0, "see below; may be repeated"),
    long(
        "defaults",
        0,
        "settings of the sections that follow, until the next one; a name, and from NAME, work as in HAProxy",
    ),
    keyword(
        "listen",
        (1, 3),
        Class::Honoured,
        "a listener and its servers; one without bind is a backend",
    ),
    keyword("frontend", (1, 3), Class::Honoured, "a listener; its servers are those of a backend"),
    keyword("backend", (1, 3), Class::Honoured, "servers for the sections that name it"),
    quiet("resolvers", 1, DNS),
    warned("userlist", 1, "it is for users of HTTP; those of a page are named by stats auth"),
    warned("peers", 1, "vipd shares no tables of clients"),
    warned("mailers", 1, "mail is configured in vipd.toml, [mail]"),
    warned("ring", 1, LOGS),
    warned("log-forward", 1, LOGS),
    warned("traces", 0, LOGS),
    warned("http-errors", 1, LAYER_7),
    warned("cache", 1, LAYER_7),
    warned("fcgi-app", 1, LAYER_7),
    warned("crt-store", 1, TLS),
    warned("program", 1, "vipd starts no other programs; let the service manager do it"),
];

pub(super) const GLOBAL: &[Keyword] = &[
    yes("maxconn", 1, "the most sessions of each listener that has no limit of its own"),
    yes("ca-base", 1, "where a ca-file without a directory is"),
    yes("crt-base", 1, "where a crt without a directory is"),
    yes(
        "ssl-server-verify",
        1,
        "none or required (default): whether checks over TLS verify the server",
    ),
    warned("stats", MANY, SOCKET),
    warned("log", MANY, LOGS),
    warned("log-send-hostname", 1, LOGS),
    warned("log-tag", 1, LOGS),
    quiet("description", MANY, NAMES),
    quiet("node", 1, NAMES),
    quiet("daemon", 0, "`vipd run` stays in the foreground, as service managers want it"),
    quiet("master-worker", 1, PROCESS),
    quiet("mworker-max-reloads", 1, PROCESS),
    quiet("hard-stop-after", 1, "a reload changes the one process there is; sessions go on"),
    quiet("nbproc", 1, TUNING),
    quiet("nbthread", 1, TUNING),
    quiet("cpu-map", 2, TUNING),
    quiet("tune.*", MANY, TUNING),
    quiet("noepoll", 0, TUNING),
    quiet("nosplice", 0, TUNING),
    quiet("spread-checks", 1, "checks of several servers are spread anyway"),
    quiet("max-spread-checks", 1, "checks of several servers are spread anyway"),
    warned("user", 1, PROCESS),
    warned("group", 1, PROCESS),
    warned("uid", 1, PROCESS),
    warned("gid", 1, PROCESS),
    warned("chroot", 1, PROCESS),
    warned("pidfile", 1, PROCESS),
    warned("ulimit-n", 1, PROCESS),
    warned("localpeer", 1, "vipd shares no tables of clients"),
    warned("server-state-base", 1, "servers are asked anew after a start, while clients wait"),
    warned("server-state-file", 1, "servers are asked anew after a start, while clients wait"),
    quiet("ssl-default-bind-ciphers", 1, TLS),
    quiet("ssl-default-bind-ciphersuites", 1, TLS),
    quiet("ssl-default-bind-curves", 1, TLS),
    quiet("ssl-default-bind-options", MANY, TLS),
    quiet("ssl-default-server-ciphers", 1, TLS),
    quiet("ssl-default-server-ciphersuites", 1, TLS),
    quiet("ssl-default-server-options", MANY, TLS),
    quiet("ssl-dh-param-file", 1, TLS),
    quiet("ssl-load-extra-files", MANY, TLS),
    quiet("ssl-mode-async", 0, TLS),
    quiet("maxconnrate", 1, "connections are accepted as fast as the host can"),
    quiet("maxsslconn", 1, TLS),
    quiet("maxpipes", 1, TUNING),
    quiet("set-dumpable", 1, PROCESS),
    quiet("zero-warning", 0, "`vipd check --deny-warnings` does this"),
    refused("external-check", CHECK_KIND, OTHER_CHECK),
    refused("insecure-fork-wanted", "vipd runs no commands for HAProxy's checks", "remove it"),
    refused("lua-load", "vipd runs no Lua", "remove it and what it defines"),
    refused("lua-load-per-thread", "vipd runs no Lua", "remove it and what it defines"),
    quiet("no", MANY, "what it takes back has no effect here either"),
    quiet("strict-limits", 0, "too few descriptors are reported, and clients wait"),
    quiet("numa-cpu-mapping", 0, THREADS),
    quiet("thread-group", MANY, THREADS),
    quiet("thread-groups", 1, THREADS),
    quiet("busy-polling", 0, TUNING),
    quiet("nopoll", 0, TUNING),
    quiet("nokqueue", 0, TUNING),
    quiet("noevports", 0, TUNING),
    quiet("noreuseport", 0, "each listener has one socket for each thread"),
    quiet("nogetaddrinfo", 0, DNS),
    quiet("no-memory-trimming", 0, TUNING),
    quiet("profiling.tasks", 1, TUNING),
    quiet("maxcomprate", 1, LAYER_7),
    quiet("maxcompcpuusage", 1, LAYER_7),
    quiet("maxzlibmem", 1, LAYER_7),
    quiet("h1-case-adjust", 2, LAYER_7),
    quiet("h1-case-adjust-file", 1, LAYER_7),
    quiet("h1-accept-payload-with-any-method", 0, LAYER_7),
    quiet("h2-workaround-bogus-websocket-clients", 0, LAYER_7),
    quiet("httpclient.*", MANY, LAYER_7),
    quiet("expose-experimental-directives", 0, NAMES),
    quiet("insecure-setuid-wanted", 0, "vipd needs no other rights than its own"),
    quiet("pp2-never-send-local", 0, PROXY_PROTOCOL),
    quiet("quiet", 0, NAMES),
    quiet("grace", 1, NO_SESSIONS_KEPT),
    quiet("close-spread-time", 1, NO_SESSIONS_KEPT),
    quiet("unix-bind", MANY, UNIX),
    quiet("issuers-chain-path", 1, TLS),
    quiet("ssl-load-extra-del-ext", 0, TLS),
    quiet("ssl-propquery", 1, TLS),
    quiet("ssl-provider", 1, TLS),
    quiet("ssl-provider-path", 1, TLS),
    quiet("ssl-skip-self-issued-ca", 0, TLS),
    quiet("maxsslrate", 1, TLS),
    quiet("set-var", MANY, "conditions on variables are refused where they stand"),
    quiet("set-var-fmt", MANY, "conditions on variables are refused where they stand"),
    quiet("lua-prepend-path", MANY, "vipd runs no Lua; lua-load is refused"),
    warned("cluster-secret", 1, "vipd shares no tables of clients"),
    warned("maxsessrate", 1, "sessions begin as fast as the host can"),
    warned(
        "default-path",
        MANY,
        "files of checks are named by their whole path, or by ca-base and crt-base",
    ),
    warned("resetenv", MANY, OWN_ENVIRONMENT),
    warned("unsetenv", MANY, OWN_ENVIRONMENT),
    refused("setenv", OWN_ENVIRONMENT, "set it there"),
    refused("presetenv", OWN_ENVIRONMENT, "set it there"),
];

pub(super) const PROXY: &[Keyword] = &[
    yes(
        "mode",
        1,
        "tcp, the default; http is refused where there are servers, because vipd works on TCP",
    ),
    long(
        "bind",
        1,
        "`ADDRESS:PORT`, several with commas; `*` and nothing are all of IPv4, `::` is IPv6 and IPv4; the \
                     address need not be the host's own yet",
    ),
    long("server", 2, "a name, `HOST:PORT`, and the words below"),
    long("default-server", 0, "words for the servers that follow"),
    yes("default_backend", 1, "whose servers are used; in listen instead of its own"),
    long(
        "use_backend",
        1,
        "with conditions on nbsrv alone: the primary for readers while no standby is up, and what is always or \
         never so",
    ),
    long("acl", 2, "conditions on nbsrv, for use_backend"),
    long("balance", 1, "roundrobin (default), static-rr as roundrobin, leastconn, first"),
    yes("maxconn", 1, "sessions of a listener; more wait in the kernel's queue"),
    yes("backlog", 1, "length of that queue"),
    long("timeout", 2, "see below"),
    long("option", 1, "see below; `no option NAME` takes one back"),
    long("http-check", 1, "see below"),
    long("stats", 1, "see below; a section that only shows statistics shows vipd's status page"),
    yes("clitcpka-idle", 1, "silence until the kernel asks whether a client is there"),
    yes("clitcpka-intvl", 1, "from one such question to the next"),
    yes("clitcpka-cnt", 1, "questions without an answer until the client is gone"),
    yes("srvtcpka-idle", 1, "as clitcpka-idle, for servers"),
    yes("srvtcpka-intvl", 1, "as clitcpka-intvl, for servers"),
    yes("srvtcpka-cnt", 1, "as clitcpka-cnt, for servers"),
    yes("disabled", 0, "the section is passed over"),
    yes("enabled", 0, "takes disabled of the defaults back"),
    long("no", 1, "before option"),
    quiet("retries", 1, RETRIES),
    quiet("retry-on", MANY, RETRIES),
    quiet("fullconn", 1, "only for minconn"),
    quiet("description", MANY, NAMES),
    quiet("id", 1, NAMES),
    quiet("guid", 1, NAMES),
    quiet("grace", 1, "a reload changes the one process there is; sessions go on"),
    quiet("bind-process", 1, TUNING),
    quiet("errorfile", 2, LAYER_7),
    quiet("errorfiles", MANY, LAYER_7),
    quiet("errorloc", 2, LAYER_7),
    quiet("errorloc302", 2, LAYER_7),
    quiet("errorloc303", 2, LAYER_7),
    quiet("unique-id-format", 1, LAYER_7),
    quiet("unique-id-header", 1, LAYER_7),
    quiet("max-keep-alive-queue", 1, LAYER_7),
    quiet("http-reuse", 1, LAYER_7),
    quiet("compression", MANY, LAYER_7),
    quiet("cookie", MANY, STICKY_COOKIE),
    quiet(
        "load-server-state-from-file",
        1,
        "servers are asked anew after a start, while clients wait",
    ),
    quiet("server-state-file-name", 1, "servers are asked anew after a start, while clients wait"),
    warned("log", MANY, LOGS),
    warned("log-format", 1, LOGS),
    warned("log-format-sd", 1, LOGS),
    warned("log-steps", 1, LOGS),
    warned("log-tag", 1, LOGS),
    warned("capture", MANY, LOGS),
    warned("declare", MANY, LOGS),
    warned("email-alert", MANY, "mail is configured in vipd.toml, [mail]"),
    warned("rate-limit", 2, "connections are accepted as fast as the host can"),
    warned("monitor-uri", 1, MONITOR),
    warned("monitor", MANY, MONITOR),
    warned("monitor-net", 1, MONITOR),
    long(
        "http-request",
        1,
        "refused where there are servers: it is about HTTP; use-service prometheus-exporter serves vipd's metrics",
    ),
    long("http-response", 1, "refused where there are servers: it is about HTTP"),
    long("http-after-response", 1, "refused where there are servers: it is about HTTP"),
    long("http-error", 1, "refused where there are servers: it is about HTTP"),
    long("redirect", 1, "refused where there are servers: it is about HTTP"),
    long(
        "tcp-request",
        1,
        "inspect-delay has no effect; the others are refused, because vipd would let everybody in",
    ),
    long("tcp-check", 1, "connect without more is what a plain check does; a script is refused"),
    refused("tcp-response", FILTERS, FIREWALL),
    refused("block", FILTERS, FIREWALL),
    refused("filter", "vipd runs no filters", "remove it"),
    refused(
        "use-server",
        "vipd chooses by weight and by what each server is",
        "make a listen section for it",
    ),
    refused("use-fcgi-app", LAYER_7, PASS),
    refused("http-send-name-header", LAYER_7, PASS),
    refused("stick-table", STICKY, BALANCE),
    refused("stick", STICKY, BALANCE),
    refused("hash-type", STICKY, BALANCE),
    refused("hash-balance-factor", STICKY, BALANCE),
    refused("persist", STICKY, BALANCE),
    quiet("force-persist", MANY, PERSIST),
    quiet("ignore-persist", MANY, PERSIST),
    refused("dynamic-cookie-key", STICKY, BALANCE),
    refused("source", SOURCE, NO_SOURCE),
    refused("external-check", CHECK_KIND, OTHER_CHECK),
    refused(
        "server-template",
        "its servers come from DNS, and vipd wants to know who they are",
        "write one server line for each",
    ),
    refused("dispatch", "vipd sends clients to servers only", "write it as a server line"),
    refused("transparent", "vipd connects to servers only", "write it as a server line"),
    refused("max-session-srv-conns", LAYER_7, PASS),
];

pub(super) const TIMEOUTS: &[Keyword] = &[
    yes("connect", 1, "of one attempt to reach a server; 1 s without it, HAProxy waits for ever"),
    yes("client", 1, IDLE),
    yes("server", 1, IDLE),
    yes("tunnel", 1, "takes the place of client and server"),
    yes("client-fin", 1, HALF_CLOSED),
    yes("server-fin", 1, HALF_CLOSED),
    yes(
        "queue",
        1,
        "how long a client waits while all servers are full; timeout connect without it",
    ),
    yes("check", 1, "the longest an answer to a check may take; inter without it"),
    quiet("http-request", 1, LAYER_7),
    quiet("http-keep-alive", 1, LAYER_7),
    quiet("tarpit", 1, LAYER_7),
    quiet("client-hs", 1, TLS),
];

pub(super) const OPTIONS: &[Keyword] = &[
    keyword(
        "httpchk",
        (0, 3),
        Class::Honoured,
        "method, URI, version and what follows it; what Patroni answers decides, see above",
    ),
    yes("tcp-check", 0, "a connection, as with check alone"),
    long(
        "pgsql-check",
        0,
        "user NAME: begins a session of that user; a request for a password is good, an error is not",
    ),
    yes("allbackups", 0, "all backup servers are used together"),
    quiet("redispatch", 1, RETRIES),
    quiet("tcpka", 0, KEEPALIVE),
    quiet("clitcpka", 0, KEEPALIVE),
    quiet("srvtcpka", 0, KEEPALIVE),
    quiet("abortonclose", 0, "a client that leaves while it waits is forgotten at once"),
    quiet("splice-auto", 0, SPLICE),
    quiet("splice-request", 0, SPLICE),
    quiet("splice-response", 0, SPLICE),
    quiet("tcp-smart-accept", 0, KERNEL),
    quiet("tcp-smart-connect", 0, KERNEL),
    quiet("nolinger", 0, "sessions that are cut off are reset, the others end in order"),
    quiet("contstats", 0, LOGS),
    quiet("socket-stats", 0, LOGS),
    quiet("dontlognull", 0, LOGS),
    quiet("dontlog-normal", 0, LOGS),
    quiet("log-separate-errors", 0, LOGS),
    quiet("logasap", 0, LOGS),
    quiet("log-health-checks", 0, "every change of a server is logged with its reason"),
    warned("tcplog", 1, LOGS),
    quiet("httplog", 1, LOGS),
    quiet("httpslog", 0, LOGS),
    quiet("httpclose", 0, LAYER_7),
    quiet("http-server-close", 0, LAYER_7),
    quiet("http-keep-alive", 0, LAYER_7),
    quiet("http-use-htx", 0, LAYER_7),
    quiet("http-pretend-keepalive", 0, LAYER_7),
    quiet("http-no-delay", 0, LAYER_7),
    quiet("http-buffer-request", 0, LAYER_7),
    quiet("http-ignore-probes", 0, LAYER_7),
    quiet("forceclose", 0, LAYER_7),
    quiet("forwardfor", MANY, LAYER_7),
    quiet("forwarded", MANY, LAYER_7),
    quiet("originalto", MANY, LAYER_7),
    quiet("prefer-last-server", 0, LAYER_7),
    quiet("checkcache", 0, LAYER_7),
    quiet("accept-invalid-http-request", 0, LAYER_7),
    quiet("accept-invalid-http-response", 0, LAYER_7),
    quiet("disable-h2-upgrade", 0, LAYER_7),
    quiet("idle-close-on-response", 0, LAYER_7),
    quiet("h1-case-adjust-bogus-client", 0, LAYER_7),
    quiet("h1-case-adjust-bogus-server", 0, LAYER_7),
    quiet("http-use-proxy-header", 0, LAYER_7),
    quiet("http-restrict-req-hdr-names", 1, LAYER_7),
    quiet("independent-streams", 0, "there is one limit for both directions"),
    quiet("persist", 0, PERSIST),
    refused("transparent", "vipd connects to servers only", "write it as a server line"),
    refused("external-check", CHECK_KIND, OTHER_CHECK),
    refused("ssl-hello-chk", CHECK_KIND, OTHER_CHECK),
    refused("mysql-check", CHECK_KIND, OTHER_CHECK),
    refused("redis-check", CHECK_KIND, OTHER_CHECK),
    refused("smtpchk", CHECK_KIND, OTHER_CHECK),
    refused("ldap-check", CHECK_KIND, OTHER_CHECK),
    refused("spop-check", CHECK_KIND, OTHER_CHECK),
];

pub(super) const HTTP_CHECK: &[Keyword] = &[
    long("expect", 1, "status, or string; without it 200 to 399"),
    long("send", 1, "meth, uri, ver and hdr"),
    long("connect", 0, "port, ssl, sni, default and linger"),
    quiet("comment", 1, NAMES),
    quiet("send-state", 0, "no server reads it"),
    quiet("set-var", MANY, NAMES),
    quiet("unset-var", MANY, NAMES),
    refused(
        "disable-on-404",
        "Patroni never answers 404, and other servers would be drained by it",
        "remove it",
    ),
];

pub(super) const STATS: &[Keyword] = &[
    yes("enable", 0, "vipd's status page is shown, in mode tcp as well"),
    yes("uri", 1, "its path, without what follows `?`; /haproxy without it"),
    yes("refresh", 1, "how often a browser asks again; never without it"),
    yes("auth", 1, "USER:PASSWORD, who may see it; as often as there are users"),
    long("http-request", 1, "the page is not opened: vipd cannot tell whom it lets in"),
    long("scope", 1, "the page is not opened: vipd's shows everything"),
    warned("admin", MANY, "nothing can be changed through vipd's page"),
    warned("realm", 1, LOOKS),
    warned("hide-version", 0, "vipd's page names its version"),
    warned("show-desc", MANY, LOOKS),
    warned("show-legends", 0, LOOKS),
    warned("show-modules", 0, LOOKS),
    warned("show-node", 1, LOOKS),
];

pub(super) const BIND: &[Keyword] = &[
    yes("interface", 1, "only what comes in there"),
    yes("v6only", 0, "IPv6 alone"),
    yes("v4v6", 0, "IPv6 and IPv4, the default"),
    yes("maxconn", 1, "as maxconn of the section"),
    yes("backlog", 1, "as backlog of the section"),
    yes(
        "tcp-ut",
        1,
        "how long bytes for a client may go without an answer; one that answers but does not read is kept",
    ),
    quiet("transparent", 0, "always so: the address need not be the host's own"),
    quiet("defer-accept", 0, "no client is passed on before it speaks"),
    quiet("name", 1, NAMES),
    quiet("id", 1, NAMES),
    quiet("guid-prefix", 1, NAMES),
    quiet("nice", 1, THREADS),
    quiet("process", 1, THREADS),
    quiet("thread", 1, THREADS),
    quiet("shards", 1, THREADS),
    quiet("tfo", 0, KERNEL),
    quiet("mss", 1, KERNEL),
    quiet("cc", 1, KERNEL),
    quiet("level", 1, NAMES),
    quiet("expose-fd", 1, UNIX),
    quiet("severity-output", 1, UNIX),
    quiet("user", 1, UNIX),
    quiet("group", 1, UNIX),
    quiet("uid", 1, UNIX),
    quiet("gid", 1, UNIX),
    quiet("mode", 1, UNIX),
    quiet("proto", 1, LAYER_7),
    quiet("alpn", 1, TLS),
    quiet("npn", 1, TLS),
    quiet("ciphers", 1, TLS),
    quiet("ssl-min-ver", 1, TLS),
    quiet("ssl-max-ver", 1, TLS),
    quiet("no-sslv3", 0, TLS),
    quiet("no-tlsv10", 0, TLS),
    quiet("no-tlsv11", 0, TLS),
    quiet("no-tls-tickets", 0, TLS),
    quiet("no-tlsv12", 0, TLS),
    quiet("no-tlsv13", 0, TLS),
    quiet("force-sslv3", 0, TLS),
    quiet("force-tlsv10", 0, TLS),
    quiet("force-tlsv11", 0, TLS),
    quiet("force-tlsv12", 0, TLS),
    quiet("force-tlsv13", 0, TLS),
    quiet("ciphersuites", 1, TLS),
    quiet("curves", 1, TLS),
    quiet("ecdhe", 1, TLS),
    quiet("strict-sni", 0, TLS),
    quiet("tls-ticket-keys", 1, TLS),
    quiet("prefer-client-ciphers", 0, TLS),
    quiet("allow-0rtt", 0, TLS),
    quiet("generate-certificates", 0, TLS),
    quiet("crl-file", 1, TLS),
    quiet("ca-verify-file", 1, TLS),
    quiet("ca-ignore-err", 1, TLS),
    quiet("crt-ignore-err", 1, TLS),
    quiet("ca-sign-file", 1, TLS),
    quiet("ca-sign-pass", 1, TLS),
    quiet("ssl-skip-self-issued-ca", 0, TLS),
    keyword(
        "namespace",
        (1, 1),
        Class::Refused("run vipd there: net_namespace in vipd.toml"),
        "vipd works in one network namespace",
    ),
    long(
        "ssl",
        0,
        "refused where there are servers: vipd passes TLS through; a page with it is not opened",
    ),
    yes("crt", 1, "with ssl"),
    yes("crt-list", 1, "with ssl"),
    yes("ca-file", 1, "with ssl"),
    yes("verify", 1, "with ssl"),
    keyword("accept-proxy", (0, 0), Class::Refused(NO_PROXY_PROTOCOL), PROXY_PROTOCOL),
    keyword("accept-netscaler-cip", (1, 1), Class::Refused(NO_PROXY_PROTOCOL), PROXY_PROTOCOL),
];

pub(super) const SERVER: &[Keyword] = &[
    yes("check", 0, "it is asked; a server that is not asked is always up"),
    yes("no-check", 0, "takes check back"),
    yes("port", 1, "where it is asked"),
    yes("addr", 1, "likewise"),
    yes(
        "inter",
        1,
        "from one check to the next, 2 s without it; Patroni is asked every second if that is longer",
    ),
    yes(
        "fastinter",
        1,
        "the same while a server goes up or down; Patroni is asked every 100 ms if that is longer",
    ),
    yes("downinter", 1, "the same while it is down; Patroni is asked as ever"),
    yes(
        "rise",
        1,
        "good answers in a row until it is up, 2 without it; the only primary is used at once",
    ),
    yes(
        "fall",
        1,
        "bad ones until it is down, 3 without it; what Patroni answers counts at once, its silence for fall times inter",
    ),
    yes("weight", 1, "its share of new sessions, 0 to 256"),
    yes("maxconn", 1, "sessions of the section to it; clients beyond wait"),
    yes("backup", 0, "used while no other is up"),
    yes("no-backup", 0, "takes backup back"),
    yes("disabled", 0, "gets no sessions"),
    yes("enabled", 0, "takes disabled back"),
    yes("on-marked-down", 1, "shutdown-sessions; always so where Patroni is asked"),
    yes(
        "on-marked-up",
        1,
        "shutdown-backup-sessions: a server that is up again ends the sessions of backups",
    ),
    yes("check-ssl", 0, "checks speak TLS; without httpchk and its like TLS itself is the check"),
    yes("no-check-ssl", 0, "takes check-ssl back"),
    yes("verify", 1, "none or required (default): whether the server's certificate is verified"),
    yes(
        "ca-file",
        1,
        "PEM file with the authorities that vouch for it; @system-ca for the system's",
    ),
    yes("crt", 1, "PEM file with certificate and key that checks show"),
    yes("check-sni", 1, "the name it is asked for and its certificate must carry"),
    yes(
        "verifyhost",
        1,
        "the name its certificate must carry, unless check-sni says; without both any name is good",
    ),
    yes(
        "tcp-ut",
        1,
        "how long bytes for it may go without an answer; one that answers but does not read is kept",
    ),
    quiet("observe", 1, FAULTS),
    quiet("error-limit", 1, FAULTS),
    quiet("on-error", 1, FAULTS),
    yes(
        "init-addr",
        1,
        "none or an address: its name need not lead anywhere at first; last and libc: it must",
    ),
    quiet("resolvers", 1, DNS),
    quiet("resolve-prefer", 1, DNS),
    quiet("resolve-opts", 1, DNS),
    quiet("resolve-net", 1, DNS),
    quiet("init-state", 1, "clients wait until a server has answered for the first time"),
    yes("id", 1, "the order of the servers for balance first"),
    quiet("guid", 1, NAMES),
    quiet("cookie", 1, STICKY_COOKIE),
    quiet("tfo", 0, KERNEL),
    quiet("no-tfo", 0, KERNEL),
    quiet("cc", 1, KERNEL),
    quiet("no-agent-check", 0, AGENT),
    quiet("no-ssl", 0, TLS),
    quiet("sni", 1, TLS),
    quiet("no-ssl-reuse", 0, RESUMED),
    quiet("ssl-reuse", 0, RESUMED),
    quiet("allow-0rtt", 0, RESUMED),
    quiet("alpn", 1, TLS),
    quiet("npn", 1, TLS),
    quiet("ciphers", 1, SAFE),
    quiet("ciphersuites", 1, SAFE),
    quiet("ssl-min-ver", 1, SAFE),
    quiet("ssl-max-ver", 1, SAFE),
    quiet("force-sslv3", 0, SAFE),
    quiet("force-tlsv10", 0, SAFE),
    quiet("force-tlsv11", 0, SAFE),
    quiet("force-tlsv12", 0, SAFE),
    quiet("force-tlsv13", 0, SAFE),
    quiet("no-sslv3", 0, SAFE),
    quiet("no-tlsv10", 0, SAFE),
    quiet("no-tlsv11", 0, SAFE),
    quiet("no-tlsv12", 0, SAFE),
    quiet("no-tlsv13", 0, SAFE),
    quiet("tls-tickets", 0, RESUMED),
    quiet("no-tls-tickets", 0, RESUMED),
    warned("crl-file", 1, "certificates that were revoked are believed by checks"),
    quiet("ws", 1, LAYER_7),
    quiet("pool-low-conn", 1, LAYER_7),
    quiet("stick", 0, PERSIST),
    quiet("non-stick", 0, PERSIST),
    quiet("proxy-v2-options", 1, PROXY_PROTOCOL),
    quiet("no-check-send-proxy", 0, PROXY_PROTOCOL),
    quiet("no-send-proxy-v2-ssl", 0, PROXY_PROTOCOL),
    quiet("no-send-proxy-v2-ssl-cn", 0, PROXY_PROTOCOL),
    keyword("socks4", (1, 1), Class::Refused(NO_SOURCE), "vipd connects to servers directly"),
    keyword(
        "check-via-socks4",
        (0, 0),
        Class::Refused(NO_SOURCE),
        "vipd connects to servers directly",
    ),
    quiet("no-send-proxy", 0, PROXY_PROTOCOL),
    quiet("no-send-proxy-v2", 0, PROXY_PROTOCOL),
    quiet("check-alpn", 1, TLS),
    quiet("pool-max-conn", 1, LAYER_7),
    quiet("pool-purge-delay", 1, LAYER_7),
    quiet("max-reuse", 1, LAYER_7),
    quiet("log-proto", 1, LOGS),
    warned(
        "slowstart",
        1,
        "a server that comes back takes its whole share at once; clients that waited are let go 1000 a second",
    ),
    warned("minconn", 1, "the limit is maxconn, however busy the others are"),
    warned("maxqueue", 1, "up to 2000 clients of a listener wait, for any of its servers"),
    keyword(
        "ssl",
        (0, 0),
        Class::Refused("remove it; for checks there is check-ssl"),
        "vipd passes TLS through: clients and servers speak it with each other",
    ),
    keyword("send-proxy", (0, 0), Class::Refused(NO_PROXY_PROTOCOL), PROXY_PROTOCOL),
    keyword("send-proxy-v2", (0, 0), Class::Refused(NO_PROXY_PROTOCOL), PROXY_PROTOCOL),
    keyword("send-proxy-v2-ssl", (0, 0), Class::Refused(NO_PROXY_PROTOCOL), PROXY_PROTOCOL),
    keyword("send-proxy-v2-ssl-cn", (0, 0), Class::Refused(NO_PROXY_PROTOCOL), PROXY_PROTOCOL),
    keyword("check-send-proxy", (0, 0), Class::Refused(NO_PROXY_PROTOCOL), PROXY_PROTOCOL),
    keyword("agent-check", (0, 0), Class::Refused(NO_AGENT), AGENT),
    quiet("agent-port", 1, AGENT),
    quiet("agent-addr", 1, AGENT),
    quiet("agent-inter", 1, AGENT),
    quiet("agent-send", 1, AGENT),
    keyword(
        "track",
        (1, 1),
        Class::Refused("give it its own check; Patroni is asked once for all sections anyway"),
        "vipd copies no states",
    ),
    keyword("source", (1, 1), Class::Refused(NO_SOURCE), SOURCE),
    keyword("interface", (1, 1), Class::Refused(NO_SOURCE), SOURCE),
    keyword("usesrc", (1, 1), Class::Refused(NO_SOURCE), SOURCE),
    keyword(
        "namespace",
        (1, 1),
        Class::Refused("run vipd there: net_namespace in vipd.toml"),
        "vipd works in one network namespace",
    ),
    keyword("proto", (1, 1), Class::Refused(PASS), LAYER_7),
    keyword("check-proto", (1, 1), Class::Refused(PASS), LAYER_7),
    keyword("redir", (1, 1), Class::Refused(PASS), LAYER_7),
];
