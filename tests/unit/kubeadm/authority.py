# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two certificate authorities without keys, and the digests of their public keys as openssl tells them."""

from __future__ import annotations

import base64

# openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=kubernetes -days 36500
AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBgDCCASegAwIBAgIUURJ92ltDABjKzfRet7GKos+i9WgwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKa3ViZXJuZXRlczAgFw0yNjExMjMwNzQ1MDdaGA8yMTI2MTAz
MDA3NDUwN1owFTETMBEGA1UEAwwKa3ViZXJuZXRlczBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABALlKknrO4K9edGAN9+r1E94b/c8C5tBwOr8aylpX29IV395uMA1
nnAs4xPfp53yJkQKZQOezVl7KBI3Q9bcvSOjUzBRMB0GA1UdDgQWBBS38gSVqvfZ
AUFWhIlxfcqVyJaWCjAfBgNVHSMEGDAWgBS38gSVqvfZAUFWhIlxfcqVyJaWCjAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIC+90FGNODDFO1vq8TiW
gVW4a+ul4K5D6VNpLnrcfBe3AiB4hO4X88FTJVTZxT/4zfe0Dd9+9fGW9ryeo0pF
q3gYCg==
-----END CERTIFICATE-----
"""
OTHER_AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBeDCCAR2gAwIBAgIUUo3uG7N8jihJ75Vg5FgFi5s6NvowCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFb3RoZXIwIBcNMjYxMTIzMDc0NTA4WhgPMjEyNjEwMzAwNzQ1
MDhaMBAxDjAMBgNVBAMMBW90aGVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
mgncfGSwu9Zq+5z977TM7UWoJmZGhn+ONuIUlcyWoms4LrIQUYxyFvPQ9oWmThQU
XZbi02SGfegmq7Bup1xuD6NTMFEwHQYDVR0OBBYEFACRdKYBcbQlcQce9QHWMpfd
l/pvMB8GA1UdIwQYMBaAFACRdKYBcbQlcQce9QHWMpfdl/pvMA8GA1UdEwEB/wQF
MAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhAL6jUzmjOLwwLaxgsJVVZFR9LOBAfciz
VlsoiF6Gw2JrAiEAm5d3CDG3C5n3min54EKxFXHY6DJXq+5MpWC/vQwslZY=
-----END CERTIFICATE-----
"""
# openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | sha256sum
HASH = "sha256:ac33cdcf569462e40adc0c1775068dd05833bae08bff20ec8613018508a9acd8"
OTHER_HASH = "sha256:290715be83fcb4f6bf49a321e4d88e02b5028f55712ad22232f33a546f29bb56"


def kubeconfig(server: str, authority: str) -> str:
    """As kubeadm writes it for an administrator, and the kubelet for itself."""
    encoded = base64.b64encode(authority.encode()).decode()
    return f"""apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {encoded}
    server: {server}
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: kubernetes-admin
  name: kubernetes-admin@kubernetes
current-context: kubernetes-admin@kubernetes
kind: Config
users:
- name: kubernetes-admin
  user:
    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem
    client-key: /var/lib/kubelet/pki/kubelet-client-current.pem
"""


KUBECONFIG = kubeconfig("https://192.168.4.63:6443", AUTHORITY)
