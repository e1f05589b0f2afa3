// Copyright (c) 2026, the vmstation.cluster contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command stand-in takes the place of a program that the tests cannot have: it answers the path by which that program says that it is well,
// and /metrics with one series that says what it is. It takes any arguments, and heeds none. With a directory of its own in STAND_IN_LOGS it
// also takes lines as Loki does, keeps them there, and finds them by their labels. With one in STAND_IN_WIZARD it has Jellyfin's startup wizard.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
)

func main() {
	program, port, health := os.Getenv("STAND_IN_FOR"), os.Getenv("STAND_IN_PORT"), os.Getenv("STAND_IN_HEALTH")
	http.HandleFunc("GET "+health, func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(answer, "stand-in for %s\n", program)
	})
	http.HandleFunc("GET /metrics", func(answer http.ResponseWriter, _ *http.Request) {
		answer.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintf(answer, "stand_in_info{program=%q} 1\n", program)
	})
	if directory := os.Getenv("STAND_IN_LOGS"); directory != "" {
		kept, err := openLogs(directory)
		if err != nil {
			log.Fatal(err)
		}
		kept.serve()
	}
	if directory := os.Getenv("STAND_IN_WIZARD"); directory != "" {
		kept, err := openWizard(directory)
		if err != nil {
			log.Fatal(err)
		}
		kept.serve()
	}
	log.Fatal(http.ListenAndServe(":"+port, nil))
}
