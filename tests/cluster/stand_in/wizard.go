// Copyright (c) 2026, the vmstation.cluster contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
)

// wizard is the part of Jellyfin's HTTP API by which its startup wizard works, as StartupController of 10.11 serves it: anyone may use it
// until it is complete, and the first user exists only after it was asked for.
type wizard struct {
	lock  sync.Mutex
	path  string
	state struct {
		Name, Password string
		Completed      bool
	}
}

// user is a user of Jellyfin, in its requests and answers.
type user struct {
	Name     string `json:"Name"`
	Password string `json:"Password,omitempty"`
}

// openWizard reads how far an earlier process has come.
func openWizard(directory string) (*wizard, error) {
	kept := &wizard{path: filepath.Join(directory, "stand-in-wizard.json")}
	text, err := os.ReadFile(kept.path)
	if errors.Is(err, fs.ErrNotExist) {
		return kept, nil
	}
	if err != nil {
		return nil, err
	}
	return kept, json.Unmarshal(text, &kept.state)
}

func (kept *wizard) serve() {
	http.HandleFunc("GET /System/Info/Public", func(answer http.ResponseWriter, _ *http.Request) {
		kept.lock.Lock()
		defer kept.lock.Unlock()
		reply(answer, map[string]any{"ProductName": "stand-in", "StartupWizardCompleted": kept.state.Completed})
	})
	http.HandleFunc("GET /Startup/Configuration", kept.untilComplete(func(answer http.ResponseWriter, _ *http.Request) {
		reply(answer, map[string]any{"UICulture": "en-US"})
	}))
	http.HandleFunc("GET /Startup/User", kept.untilComplete(func(answer http.ResponseWriter, _ *http.Request) {
		if kept.state.Name == "" {
			kept.state.Name = "root"
		}
		reply(answer, user{Name: kept.state.Name})
	}))
	http.HandleFunc("POST /Startup/User", kept.untilComplete(func(answer http.ResponseWriter, request *http.Request) {
		var wanted user
		switch err := json.NewDecoder(request.Body).Decode(&wanted); {
		case err != nil, wanted.Password == "":
			answer.WriteHeader(http.StatusBadRequest)
		case kept.state.Name == "":
			answer.WriteHeader(http.StatusNotFound)
		default:
			kept.state.Name, kept.state.Password = wanted.Name, wanted.Password
			answer.WriteHeader(http.StatusNoContent)
		}
	}))
	http.HandleFunc("POST /Startup/Complete", kept.untilComplete(func(answer http.ResponseWriter, _ *http.Request) {
		kept.state.Completed = true
		answer.WriteHeader(http.StatusNoContent)
	}))
	http.HandleFunc("POST /Users/AuthenticateByName", func(answer http.ResponseWriter, request *http.Request) {
		var given struct{ Username, Pw string }
		kept.lock.Lock()
		defer kept.lock.Unlock()
		err := json.NewDecoder(request.Body).Decode(&given)
		if err != nil || given.Pw == "" || given.Username != kept.state.Name || given.Pw != kept.state.Password {
			answer.WriteHeader(http.StatusUnauthorized)
			return
		}
		reply(answer, map[string]any{"User": user{Name: kept.state.Name}})
	})
}

// untilComplete answers requests one at a time, and keeps what they changed.
func (kept *wizard) untilComplete(handle http.HandlerFunc) http.HandlerFunc {
	return func(answer http.ResponseWriter, request *http.Request) {
		kept.lock.Lock()
		defer kept.lock.Unlock()
		if kept.state.Completed {
			answer.WriteHeader(http.StatusUnauthorized)
			return
		}
		before := kept.state
		handle(answer, request)
		if kept.state == before {
			return
		}
		text, err := json.Marshal(kept.state)
		if err == nil {
			err = os.WriteFile(kept.path, text, 0o600)
		}
		if err != nil {
			panic(err)
		}
	}
}

func reply(answer http.ResponseWriter, content any) {
	answer.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(answer).Encode(content)
}
