// Copyright (c) 2026, the vmstation.cluster contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The module's own go.mod and go.sum pin all that its programs are made of: no `go mod tidy` here.
module vmstation.cluster/tests/cluster/alertmanager

go 1.26.0

require github.com/prometheus/alertmanager v0.35.0
