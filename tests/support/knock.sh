#!/usr/bin/env bash
# knock.sh - a real server for one test, run inside the network namespace of a bed's server.
#
#   knock.sh SERVER FOLDER ADDRESS     start it, return when it listens; its settings, data and log are in FOLDER
#
# SERVER is desktop, dns, feed, files, ftp, imap, login-form, memory, mysql, ntp, postgres, redis, shop, smtp, ssh, telephony,
# telnet or web. They have one account, "clerk" with the password "harbour-lamp-7", and write what they refused to FOLDER/SERVER.log. "ip netns exec" gives each call a mount
# namespace of its own: accounts and PAM rules are laid over /etc there and nowhere else. The processes end with the bed.
set -euo pipefail

server=${1:?name of the server} folder=${2:?folder} address=${3:?address to listen at}
account=clerk password=harbour-lamp-7
number=4242                 # of the account; no package uses numbers above 999
log=$folder/$server.log

mkdir -p "$folder/home"
chmod 755 "$folder"
# No server asks a resolver outside the bed who its clients are.
echo 'hosts: files' > "$folder/nsswitch.conf"
mount --bind "$folder/nsswitch.conf" /etc/nsswitch.conf

# An account that exists in this mount namespace only. Without "nodelay" and FAIL_DELAY each refusal would cost seconds.
account() {
    local hash
    hash=$(perl -e 'print crypt($ARGV[0], q($6$harbour$))' "$password")
    { grep -v "^$account:" /etc/passwd; echo "$account:x:$number:65534::$folder/home:/bin/bash"; } > "$folder/passwd"
    { grep -v "^$account:" /etc/shadow; echo "$account:$hash:19000:0:99999:7:::"; } > "$folder/shadow"
    mkdir -p "$folder/pam.d"
    local rule
    for rule in vsftpd login other; do
        printf '%s\n' 'auth required pam_unix.so nodelay' 'account required pam_permit.so' \
            'session required pam_permit.so' > "$folder/pam.d/$rule"
    done
    chown -R "$number" "$folder/home"
    mount --bind "$folder/passwd" /etc/passwd
    mount --bind "$folder/shadow" /etc/shadow
    mount --bind "$folder/pam.d" /etc/pam.d
    sed 's/^FAIL_DELAY.*/FAIL_DELAY 0/' /etc/login.defs > "$folder/login.defs"
    mount --bind "$folder/login.defs" /etc/login.defs
    mount -t tmpfs none /run
}

# until_open PORT...: waits until each port listens; ten seconds are enough for the slowest (mysql, two).
until_open() {
    local port turn
    for port in "$@"; do
        for turn in {1..200}; do
            ss -Hlntu "sport = :$port" | grep -q . && continue 2
            sleep 0.05
        done
        echo "knock.sh: $server does not listen at $port" >&2
        tail -5 "$log" >&2 || :
        exit 1
    done
}

# in_background CMD...: what it says goes to the log.
in_background() {
    "$@" >> "$log" 2>&1 < /dev/null &
}

serve_ssh() {
    account
    mkdir -p /run/sshd "$folder/home/.ssh"
    ssh-keygen -q -t ed25519 -N '' -f "$folder/host" <<< y > /dev/null
    for name in first second third; do
        [ -e "$folder/$name" ] || ssh-keygen -q -t ed25519 -N '' -f "$folder/$name" > /dev/null
    done
    cp "$folder/third.pub" "$folder/home/.ssh/authorized_keys"
    cat > "$folder/sshd.conf" <<-END
	Port 22
	ListenAddress $address
	HostKey $folder/host
	UsePAM no
	StrictModes no
	KbdInteractiveAuthentication no
	LogLevel VERBOSE
	MaxStartups 200
	Subsystem sftp internal-sftp
	END
    in_background "$(command -v sshd || echo /usr/sbin/sshd)" -D -e -f "$folder/sshd.conf"
    until_open 22
}

serve_ftp() {
    account
    mkdir -p "$folder/empty"
    echo 'the tide table of next year' > "$folder/home/tides.txt"
    cat > "$folder/vsftpd.conf" <<-END
	listen=YES
	listen_address=$address
	background=NO
	local_enable=YES
	write_enable=YES
	anonymous_enable=NO
	pam_service_name=vsftpd
	secure_chroot_dir=$folder/empty
	delay_failed_login=0
	seccomp_sandbox=NO
	xferlog_enable=YES
	vsftpd_log_file=$log
	END
    in_background /usr/sbin/vsftpd "$folder/vsftpd.conf"
    until_open 21
}

serve_imap() {
    echo "$account:{plain}$password" > "$folder/dovecot.users"
    cat > "$folder/dovecot.conf" <<-END
	base_dir = $folder/dovecot
	state_dir = $folder/dovecot.state
	protocols = imap pop3
	listen = $address
	ssl = no
	disable_plaintext_auth = no
	auth_mechanisms = plain login cram-md5
	auth_failure_delay = 0
	auth_verbose = yes
	log_path = $log
	first_valid_uid = 100
	mail_location = maildir:$folder/home/mail
	mail_max_userip_connections = 100
	service anvil {
	  unix_listener anvil-auth-penalty {
	    mode = 0
	  }
	}
	passdb {
	  driver = passwd-file
	  args = $folder/dovecot.users
	}
	userdb {
	  driver = static
	  args = uid=$number gid=65534 home=$folder/home
	}
	END
    chown -R "$number" "$folder/home"
    in_background dovecot -F -c "$folder/dovecot.conf"
    until_open 143 110
}

serve_smtp() {
    mkdir -p "$folder/spool"
    cat > "$folder/exim.conf" <<-END
	primary_hostname = mail.town.example
	spool_directory = $folder/spool
	log_file_path = $folder/exim-%s.log
	daemon_smtp_ports = 25
	local_interfaces = $address
	acl_smtp_rcpt = accept
	smtp_accept_max_per_connection = 1000
	host_lookup =
	rfc1413_query_timeout = 0s
	begin routers
	all:
	  driver = accept
	  transport = box
	begin transports
	box:
	  driver = appendfile
	  file = $folder/spool/box
	  user = mail
	begin authenticators
	plain:
	  driver = plaintext
	  public_name = PLAIN
	  server_prompts = :
	  server_condition = \${if and{{eq{\$auth2}{$account}}{eq{\$auth3}{$password}}}}
	  server_set_id = \$auth2
	login:
	  driver = plaintext
	  public_name = LOGIN
	  server_prompts = Username:: : Password::
	  server_condition = \${if and{{eq{\$auth1}{$account}}{eq{\$auth2}{$password}}}}
	  server_set_id = \$auth1
	END
    chown -R Debian-exim "$folder/spool"
    touch "$folder/exim-main.log" "$folder/exim-reject.log" "$folder/exim-panic.log"
    chown Debian-exim "$folder"/exim-*.log
    ln -sf exim-main.log "$log"
    /usr/sbin/exim4 -C "$folder/exim.conf" -bdf > /dev/null 2>&1 < /dev/null &
    until_open 25
}

serve_telnet() {
    account
    echo "telnet stream tcp4 nowait root $(command -v telnetd || echo /usr/sbin/telnetd) telnetd" > "$folder/inetd.conf"
    in_background "$(command -v inetutils-inetd || echo /usr/sbin/inetutils-inetd)" -d "$folder/inetd.conf"
    until_open 23
}

serve_redis() {
    in_background redis-server --bind "$address" --port 6379 --save '' --dir "$folder" --requirepass "$password"
    until_open 6379
}

serve_mysql() {
    local data=$folder/mysql
    local turn
    # It fails now and then on a machine that is busy.
    for turn in 1 2 3; do
        rm -rf "$data"
        mariadb-install-db --no-defaults --user=mysql --datadir="$data" --auth-root-authentication-method=normal \
            --skip-test-db > "$folder/mysql.install" 2>&1 && break
        tail -5 "$folder/mysql.install" >&2
    done
    echo "CREATE USER '$account'@'%' IDENTIFIED BY '$password';" > "$folder/mysql.sql"
    in_background mariadbd --no-defaults --user=mysql --datadir="$data" --socket="$data/socket" --bind-address="$address" \
        --port=3306 --skip-name-resolve --log-warnings=2 --init-file="$folder/mysql.sql" --max-connect-errors=100000
    until_open 3306
}

serve_postgres() {
    local data=$folder/postgres programs
    programs=$(printf '%s\n' /usr/lib/postgresql/*/bin | tail -1)
    install -d -o postgres "$data"
    echo "$password" > "$folder/postgres.password"
    chmod 644 "$folder/postgres.password"
    setpriv --reuid postgres --regid postgres --clear-groups \
        "$programs/initdb" -D "$data" -U "$account" -A scram-sha-256 --pwfile="$folder/postgres.password" -N > "$folder/postgres.install"
    echo "host all all all scram-sha-256" >> "$data/pg_hba.conf"
    in_background setpriv --reuid postgres --regid postgres --clear-groups "$programs/postgres" -D "$data" -h "$address" -k "$data"
    until_open 5432
}

serve_dns() {
    cat > "$folder/zone" <<-END
	\$TTL 300
	@ IN SOA ns admin 1 3600 600 86400 300
	@ IN NS ns
	@ IN MX 10 mail
	@ IN TXT "v=spf1 mx -all"
	END
    local name
    for name in ns mail www harbour library; do echo "$name IN A $address" >> "$folder/zone"; done
    cat > "$folder/named.conf" <<-END
	options {
	  directory "$folder";
	  pid-file none;
	  session-keyfile "$folder/session.key";
	  listen-on { $address; };
	  listen-on-v6 { none; };
	  recursion no;
	  dnssec-validation no;
	  minimal-any no;
	};
	controls { };
	zone "town.example" { type primary; file "$folder/zone"; allow-transfer { any; }; };
	END
    in_background named -g -c "$folder/named.conf"
    until_open 53
}

serve_ntp() {
    cat > "$folder/chrony.conf" <<-END
	local stratum 8
	allow all
	bindaddress $address
	pidfile $folder/chrony.pid
	bindcmdaddress /
	cmdport 0
	END
    in_background chronyd -d -x -u root -f "$folder/chrony.conf"
    until_open 123
}

serve_web() {
    mkdir -p "$folder/site/private" "$folder/nginx"
    local page
    for page in index news harbour library opening-hours contact; do
        {
            echo "<html><head><title>$page</title></head><body><h1>$page</h1>"
            printf '<p>The ferry from the %s leaves at ten past, except on Sundays.</p>\n' {1..40}
            echo '<a href="/news.html">news</a> <a href="/harbour.html">harbour</a></body></html>'
        } > "$folder/site/$page.html"
    done
    head -c 300000 /dev/urandom > "$folder/site/map.jpg"
    echo minutes > "$folder/site/private/index.html"
    echo "$account:$(perl -e 'print crypt($ARGV[0], q($6$harbour$))' "$password")" > "$folder/site.users"
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=www.town.example \
        -keyout "$folder/site.key" -out "$folder/site.pem" 2> /dev/null
    cat > "$folder/nginx.conf" <<-END
	worker_processes 1;
	daemon off;
	pid $folder/nginx/pid;
	error_log $log info;
	events { worker_connections 2000; }
	http {
	  types { text/html html; image/jpeg jpg; }
	  access_log $folder/web.access.log;
	  client_body_temp_path $folder/nginx/body;
	  proxy_temp_path $folder/nginx/proxy;
	  fastcgi_temp_path $folder/nginx/fastcgi;
	  uwsgi_temp_path $folder/nginx/uwsgi;
	  scgi_temp_path $folder/nginx/scgi;
	  keepalive_requests 100000;
	  server {
	    listen $address:80 backlog=2000;
	    listen $address:443 ssl;
	    server_name www.town.example;
	    ssl_certificate $folder/site.pem;
	    ssl_certificate_key $folder/site.key;
	    root $folder/site;
	    location /private/ {
	      auth_basic "council";
	      auth_basic_user_file $folder/site.users;
	    }
	  }
	}
	END
    chmod -R a+rX "$folder/site"
    in_background nginx -c "$folder/nginx.conf" -e "$log"
    until_open 80 443
}

# A login form as applications have it: the form again when refused, a redirect when accepted.
serve_login_form() {
    cat > "$folder/form.py" <<-'END'
	import http.server, sys, urllib.parse
	FORM = b"""<html><body><h1>Sign in</h1><form method="post" action="/login"><p>Your account is needed here.</p>
	<input name="user"><input name="password" type="password"><button>Sign in</button></form>%s</body></html>"""
	class Site(http.server.BaseHTTPRequestHandler):
	    protocol_version = "HTTP/1.1"
	    def say(self, status, body, *headers):
	        self.send_response(status)
	        for name, value in headers:
	            self.send_header(name, value)
	        self.send_header("Content-Type", "text/html")
	        self.send_header("Content-Length", str(len(body)))
	        self.end_headers()
	        self.wfile.write(body)
	    def do_GET(self):
	        self.say(200, FORM % b"" if self.path == "/login" else b"<html><body>Welcome</body></html>")
	    def do_POST(self):
	        fields = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
	        if [fields.get("user"), fields.get("password")] == [[sys.argv[2]], [sys.argv[3]]]:
	            return self.say(302, b"", ("Location", "/desk"), ("Set-Cookie", "session=1; HttpOnly"))
	        sys.stderr.write(f"refused {self.client_address[0]}\n")
	        self.say(200, FORM % b"<p>Wrong account or password</p>")
	    def log_message(self, *_):
	        pass
	http.server.ThreadingHTTPServer((sys.argv[1], 8080), Site).serve_forever()
	END
    in_background python3 "$folder/form.py" "$address" "$account" "$password"
    until_open 8080
}

# Old dialects too: hydra speaks no other. Strangers become guests, as on many a file server.
serve_files() {
    account
    mkdir -p "$folder/share" "$folder/samba"
    echo 'the tide table of next year' > "$folder/share/tides.txt"
    chown -R "$number" "$folder/share"
    {
        echo '[global]'
        local kind
        for kind in 'private dir' 'lock directory' 'state directory' 'cache directory' 'pid directory' 'ncalrpc dir'; do
            echo "$kind = $folder/samba"
        done
        cat <<-END
	interfaces = $address
	bind interfaces only = yes
	smb ports = 445
	disable netbios = yes
	server min protocol = NT1
	ntlm auth = yes
	map to guest = bad user
	load printers = no
	log level = 0 auth_audit:2
	[share]
	path = $folder/share
	read only = no
	END
    } > "$folder/smb.conf"
    printf '%s\n%s\n' "$password" "$password" | smbpasswd -c "$folder/smb.conf" -s -a "$account" > "$folder/smbpasswd.said"
    in_background smbd --foreground --no-process-group --debug-stdout --configfile="$folder/smb.conf"
    until_open 445
}

serve_telephony() {
    local modules
    modules=$(printf '%s\n' /usr/lib/*/kamailio/modules | tail -1)
    cat > "$folder/kamailio.cfg" <<-END
	debug=0
	log_stderror=yes
	children=2
	auto_aliases=no
	dns=no
	rev_dns=no
	listen=udp:$address:5060
	listen=tcp:$address:5060
	mpath="$modules/"
	loadmodule "sl.so"
	loadmodule "pv.so"
	loadmodule "xlog.so"
	loadmodule "textops.so"
	loadmodule "usrloc.so"
	loadmodule "registrar.so"
	loadmodule "auth.so"
	request_route {
	  if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; }
	  if (!is_method("REGISTER")) { sl_send_reply("405", "Method Not Allowed"); exit; }
	  if (!pv_www_authenticate("town.example", "$password", "0")) {
	    if (is_present_hf("Authorization")) { xlog("L_ERR", "refused \$si\n"); }
	    www_challenge("town.example", "0");
	    exit;
	  }
	  save("location");
	}
	END
    in_background kamailio -f "$folder/kamailio.cfg" -DD -E -Y "$folder" -P "$folder/kamailio.pid"
    until_open 5060
}

serve_memory() {
    in_background memcached -u nobody -l "$address" -p 11211 -U 11211
    until_open 11211
}

# Without network level authentication: xrdp has none.
serve_desktop() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=desk.town.example \
        -keyout "$folder/desk.key" -out "$folder/desk.pem" 2> /dev/null
    cat > "$folder/xrdp.ini" <<-END
	[Globals]
	ini_version=1
	fork=true
	port=tcp://$address:3389
	security_layer=negotiate
	certificate=$folder/desk.pem
	key_file=$folder/desk.key
	[Logging]
	LogFile=$folder/xrdp.log
	LogLevel=INFO
	EnableSyslog=false
	[Xorg]
	name=Xorg
	lib=libxup.so
	username=ask
	password=ask
	ip=127.0.0.1
	port=-1
	code=20
	END
    mount -t tmpfs none /run
    in_background xrdp --nodaemon --config "$folder/xrdp.ini"
    until_open 3389
}

# A page that news is sent to as it comes, over WebSocket.
serve_feed() {
    cat > "$folder/feed.py" <<-'END'
	import asyncio, sys, websockets
	async def answer(line, *_):
	    async for words in line:
	        await line.send("heard " + words)
	async def serve():
	    async with websockets.serve(answer, sys.argv[1], 8090):
	        await asyncio.Future()
	asyncio.run(serve())
	END
    in_background /usr/bin/python3 "$folder/feed.py" "$address"
    until_open 8090
}

# A shop that puts what it is asked for straight into its query. Its log has whatever was asked for that is no number.
serve_shop() {
    cat > "$folder/shop.py" <<-'END'
	import http.server, sqlite3, sys, urllib.parse
	goods = sqlite3.connect(":memory:", check_same_thread=False)
	goods.execute("create table goods (id integer, name text)")
	goods.executemany("insert into goods values (?, ?)", [(1, "lamp"), (2, "rope"), (3, "anchor")])
	class Shop(http.server.BaseHTTPRequestHandler):
	    protocol_version = "HTTP/1.1"
	    def do_GET(self):
	        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query).get("id", ["1"])[0]
	        if not asked.isdigit():
	            sys.stderr.write(f"asked {asked!r}\n")
	        try:
	            status, rows = 200, goods.execute("select name from goods where id = " + asked).fetchall()
	        except (sqlite3.Error, sqlite3.Warning) as error:
	            status, rows = 500, [["sqlite3: " + str(error)]]
	        body = ("<html><body><h1>Goods</h1>%s</body></html>" % "".join(f"<p>{row[0]}</p>" for row in rows)).encode()
	        self.send_response(status)
	        self.send_header("Content-Type", "text/html")
	        self.send_header("Content-Length", str(len(body)))
	        self.end_headers()
	        self.wfile.write(body)
	    def log_message(self, *_):
	        pass
	http.server.HTTPServer((sys.argv[1], 8085), Shop).serve_forever()
	END
    in_background python3 "$folder/shop.py" "$address"
    until_open 8085
}

if ! declare -F "serve_${server//-/_}" > /dev/null; then
    sed -n '2,/^set -e/{/^set/d;s/^# \{0,1\}//;p}' "$0"
    exit 64
fi
"serve_${server//-/_}"
