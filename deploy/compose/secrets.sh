#!/bin/sh
# Makes what the compose file keeps secret, once: a password of the database, in the two forms that are wanted.
# The folder is closed to others; its files are not, for a container's user, who is another, has to read them.
set -eu
cd "$(dirname "$0")"
if [ -e secrets ]; then
    echo "secrets/ is there already: nothing was changed" >&2
    exit 1
fi
umask 022
mkdir -m 700 secrets
password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
printf %s "$password" > secrets/postgres_password
printf 'postgresql://apprentice:%s@postgres:5432/apprentice' "$password" > secrets/database_url
echo "made secrets/postgres_password and secrets/database_url"
