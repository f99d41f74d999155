// Makes world.tsv, the outline of the world map of the HTML report. Run by hand when borders or codes change, never by the build:
//
//     npm install --no-save --prefix /tmp/world world-atlas@2.0.2 i18n-iso-countries@7
//     NODE_PATH=/tmp/world/node_modules node src/report/html/world.mjs > src/report/html/world.tsv
//
// Source: Natural Earth 1:50m admin-0 (public domain), as packed by world-atlas (ISC). The projection is Equal Earth, so that an
// area on the page is an area on the globe, centred on 11° E: the edge then runs through the Bering Strait and cuts no country.

import { createRequire } from "node:module";

const require = createRequire((process.env.NODE_PATH ?? ".") + "/");
const world = require("world-atlas/countries-50m.json");
const iso = require("i18n-iso-countries");

const WIDTH = 1200; // units of the drawing; coordinates are whole units
const MARGIN = 4;
const CENTRE = 11; // degrees east
const TOLERANCE = 0.7; // units that a simplified line may stray
const SPECK = 2.5; // rings of a smaller area are left out; a country of specks alone is a dot
const SOUTH = -57; // without Antarctica, which has no address of its own

// Territories that Natural Earth draws as a part of a state and databases give a code of their own:
// state, code, west, south, east, north.
const APART = [
  ["FR", "GF", -56, 1, -50, 7],
  ["FR", "GP", -62.2, 15.7, -60.9, 16.6],
  ["FR", "MQ", -61.5, 14.2, -60.6, 15.1],
  ["FR", "RE", 54.5, -22, 56.5, -20],
  ["FR", "YT", 44.5, -13.5, 45.7, -12],
  ["NL", "BQ", -69, 11.5, -62, 18],
  ["NO", "SJ", -10, 70.5, 35, 82],
];

// Places too small for Natural Earth's 1:50m: code, longitude, latitude.
const POINTS = [
  ["BQ", -68.3, 12.2], ["CC", 96.8, -12.2], ["CX", 105.6, -10.5], ["GF", -53, 4], ["GI", -5.35, 36.14],
  ["GP", -61.5, 16.2], ["MQ", -61, 14.6], ["RE", 55.5, -21.1], ["SJ", 16, 78.5], ["TK", -171.8, -9.2],
  ["TV", 179.2, -8.5], ["UM", 166.6, 19.3], ["YT", 45.2, -12.8],
];

const A = [1.340264, -0.081106, 0.000893, 0.003796];
const RADIANS = Math.PI / 180;

/** Equal Earth (Šavrič, Patterson and Jenny 2018), before it is scaled; linear in the longitude. */
function project([lon, lat]) {
  const t = Math.asin((Math.sqrt(3) / 2) * Math.sin(lat * RADIANS));
  const t2 = t * t;
  const t6 = t2 * t2 * t2;
  const slope = A[0] + 3 * A[1] * t2 + t6 * (7 * A[2] + 9 * A[3] * t2);
  const x = ((lon - CENTRE) * RADIANS * Math.cos(t)) / ((Math.sqrt(3) / 2) * slope);
  return [x, -t * (A[0] + A[1] * t2 + t6 * (A[2] + A[3] * t2))];
}

const half = project([CENTRE + 180, 0])[0];
const scale = (WIDTH / 2 - MARGIN) / half;
const top = project([0, 83.7])[1];
const place = (point) => {
  const [x, y] = project(point);
  return [WIDTH / 2 + x * scale, MARGIN + (y - top) * scale];
};
const HEIGHT = Math.ceil(place([0, SOUTH])[1] + MARGIN);

/** No step of more than half the globe: a line over the antimeridian goes on beyond 180°. */
function unwrap(points) {
  let turn = 0;
  return points.map(([lon, lat], at) => {
    if (at > 0) {
      const step = lon - points[at - 1][0];
      if (step > 180) turn -= 360;
      if (step < -180) turn += 360;
    }
    return [lon + turn, lat];
  });
}

/** Douglas and Peucker on the page; both ends stay, so that neighbours keep a common border. */
function simplify(points) {
  const page = points.map(place);
  const keep = new Set([0, points.length - 1]);
  const stack = [[0, points.length - 1]];
  while (stack.length) {
    const [from, to] = stack.pop();
    const [[ax, ay], [bx, by]] = [page[from], page[to]];
    const length = Math.hypot(bx - ax, by - ay);
    let [worst, at] = [TOLERANCE, -1];
    for (let i = from + 1; i < to; i++) {
      const [x, y] = page[i];
      const off = length < 1e-9 ? Math.hypot(x - ax, y - ay) : Math.abs((bx - ax) * (ay - y) - (ax - x) * (by - ay)) / length;
      if (off > worst) [worst, at] = [off, i];
    }
    if (at >= 0) {
      keep.add(at);
      stack.push([from, at], [at, to]);
    }
  }
  return points.filter((_, at) => keep.has(at));
}

const arcs = world.arcs.map((arc) => {
  let [x, y] = [0, 0];
  const { scale, translate } = world.transform;
  const points = arc.map(([dx, dy]) => {
    x += dx;
    y += dy;
    return [x * scale[0] + translate[0], y * scale[1] + translate[1]];
  });
  return simplify(unwrap(points));
});

function ring(numbers) {
  const points = numbers.flatMap((number, at) => {
    const arc = number < 0 ? arcs[~number].toReversed() : arcs[number];
    return at === 0 ? arc : arc.slice(1);
  });
  return unwrap(points.map(([lon, lat]) => [((((lon + 180) % 360) + 360) % 360) - 180, lat]));
}

/** The part of a ring on one side of a meridian (Sutherland and Hodgman). */
function cut(points, meridian, side) {
  const inside = ([lon]) => side * (lon - meridian) >= 0;
  return points.flatMap((point, at) => {
    const before = points.at(at - 1);
    const crossing = () => {
      const part = (meridian - before[0]) / (point[0] - before[0]);
      return [meridian, before[1] + part * (point[1] - before[1])];
    };
    if (inside(point)) return inside(before) ? [point] : [crossing(), point];
    return inside(before) ? [crossing()] : [];
  });
}

function onPage(points) {
  const [west, east] = [CENTRE - 180, CENTRE + 180];
  return [-360, 0, 360]
    .map((shift) => points.map(([lon, lat]) => [lon + shift, lat]))
    .map((moved) => cut(cut(moved, west, 1), east, -1))
    .filter((part) => part.length > 1)
    .map((part) => part.map(place));
}

function measured(points) {
  let [area, x, y] = [0, 0, 0];
  points.forEach(([bx, by], at) => {
    const [ax, ay] = points.at(at - 1);
    const cross = ax * by - bx * ay;
    area += cross / 2;
    x += ((ax + bx) * cross) / 6;
    y += ((ay + by) * cross) / 6;
  });
  // A ring that was simplified to a line has no centre of gravity.
  if (Math.abs(area) < 1e-9) return { area: 0, x: points[0][0], y: points[0][1] };
  return { area: Math.abs(area), x: x / area, y: y / area };
}

function drawn(points) {
  const whole = points.map((point) => point.map(Math.round));
  const fresh = whole.filter(([x, y], at) => at === 0 || x !== whole[at - 1][0] || y !== whole[at - 1][1]);
  if (fresh.length < 3) return "";
  const steps = fresh.slice(1).map(([x, y], at) => `${x - fresh[at][0]},${y - fresh[at][1]}`);
  return `M${fresh[0]}l${steps.join(" ").replaceAll(",-", "-").replaceAll(" -", "-")}z`;
}

const found = new Map();

function add(code, polygon) {
  const [outer, ...holes] = polygon;
  const parts = onPage(outer);
  for (const part of parts) {
    const { area, x, y } = measured(part);
    const country = found.get(code) ?? { area: 0, largest: 0, x, y, path: "" };
    country.area += area;
    if (area > country.largest) Object.assign(country, { largest: area, x, y });
    if (area > SPECK) country.path += drawn(part);
    found.set(code, country);
  }
  for (const hole of holes.flatMap(onPage)) {
    if (measured(hole).area > SPECK) found.get(code).path += drawn(hole);
  }
}

function codeOf(geometry, [[first]]) {
  if (geometry.properties.name === "Kosovo") return "XK";
  const code = geometry.id ? iso.numericToAlpha2(geometry.id) : undefined;
  const inside = ([state, , west, south, east, north]) =>
    state === code && first[0] > west && first[0] < east && first[1] > south && first[1] < north;
  return APART.find(inside)?.[1] ?? code ?? "-";
}

for (const geometry of world.objects.countries.geometries) {
  const polygons = geometry.type === "Polygon" ? [geometry.arcs] : (geometry.arcs ?? []);
  for (const polygon of polygons.map((rings) => rings.map(ring))) {
    const code = codeOf(geometry, polygon);
    if (code !== "AQ") add(code, polygon);
  }
}
for (const [code, lon, lat] of POINTS) {
  if (found.has(code)) continue;
  const wrapped = lon < CENTRE - 180 ? lon + 360 : lon;
  const [x, y] = place([wrapped, lat]);
  found.set(code, { area: 0, x, y, path: "" });
}

console.log("# World map, one country a line: code (ISO 3166-1 alpha-2; XK; - where there is none, ~ for the globe), x and y of its largest part, area, path.");
console.log("# Made by world.mjs from Natural Earth 1:50m admin-0 countries (public domain), through world-atlas 2.0.2 (ISC).");
console.log("# Borders are those of Natural Earth; they take no position.");
console.log(`# Equal Earth projection centred on ${CENTRE} degrees east; width and height of the drawing:`);
console.log(`${WIDTH}\t${HEIGHT}`);
// The globe as far as it is drawn: along one edge and back along the other.
const [north, south] = [83.7, SOUTH];
const side = (lon, from, to) => Array.from({ length: 41 }, (_, at) => place([lon, from + ((to - from) * at) / 40]));
const globe = [...side(CENTRE + 180, north, south), ...side(CENTRE - 180, south, north)];
console.log(["~", 0, 0, 0, drawn(globe)].join("\t"));
for (const [code, { x, y, area, path }] of [...found].sort(([a], [b]) => (a < b ? -1 : 1))) {
  console.log([code, Math.round(x), Math.round(y), Math.round(area), path].join("\t"));
}
