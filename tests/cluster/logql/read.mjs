// Copyright (c) 2026, the vmstation.cluster contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Reads a JSON list of LogQL expressions from stdin, and writes a list of what the grammar makes of each: where it does not follow (null: it
// follows all of it), and the stream selectors.
import { readFileSync } from "node:fs";
import { parser } from "@grafana/lezer-logql";

const read = (expression) => {
  let error = null;
  const selectors = [];
  parser.parse(expression).iterate({
    enter: (node) => {
      if (node.type.isError) error ??= node.from;
      if (node.name === "Selector") selectors.push(expression.slice(node.from, node.to));
    },
  });
  return { error, selectors };
};

console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(read)));
