/** The application: the frame of all pages, which page is open, and what they share. */
import { addressOf, placeOf } from "./address.js";
import { ChannelView } from "./channel-view.js";
import { HubClock } from "./clock.js";
import { Connection } from "./connection.js";
import { ContentView } from "./content-view.js";
import { confirmed } from "./dialog.js";
import { h, hide, mark, say } from "./dom.js";
import { Feed } from "./feed.js";
import { help, listen } from "./keyboard.js";
import { t } from "./language.js";
import { Overview } from "./overview.js";
import { Removal } from "./requests.js";
import { Session, takeToken } from "./session.js";
import { SignIn } from "./sign-in.js";
import { titleOf } from "./status.js";
import { Tab } from "./tab.js";
import { Toasts } from "./toasts.js";
import { Watching } from "./watching.js";

/** Between updates of times that change without events. */
const TICK_MS = 1_000;

/**
 * @typedef {object} View  a page of it
 * @property {HTMLElement} element
 * @property {HTMLInputElement | null} search
 * @property {any} [connection]  of its own, where it is not the channel's
 * @property {() => void} opened
 * @property {() => void} close
 * @property {() => void} tick
 * @property {() => void} back
 * @property {() => boolean} select
 * @property {(by: number) => boolean} move
 * @property {() => boolean} [enter]
 * @property {() => void} [retry]
 */

export class App {
  clock = new HubClock();
  session = new Session();
  toasts = new Toasts();
  watching = new Watching(this.toasts);
  tab = new Tab();

  /** Whether something has failed while the tab was hidden. */
  unseen = false;

  #announcer = h("p", { class: "unseen", id: "announcer", role: "status" });
  #connection = new Connection(this.clock);
  #signIn = new SignIn(this.session, (text) => this.#announce(text));
  #signOut = h(
    "button",
    { type: "button", class: "quiet", id: "sign-out", hidden: true, on: { click: () => this.#leave() } },
    t("signOut"),
  );
  #crumbs = h("nav", { class: "crumbs", "aria-label": t("overview") });
  #main = h("main", { id: "main", tabindex: "-1" });
  /** @type {View | null} */
  #view = null;
  /** @type {Feed | null} */
  #feed = null;
  /** By channel, the contents whose removal can be undone still. @type {Map<string, Set<string>>} */
  #hidden = new Map();

  constructor() {
    const brand = h(
      "a",
      { class: "brand", href: "./" },
      h("img", { src: "assets/dashboard/favicon.svg", alt: "", width: "24", height: "24" }),
      h("span", {}, "Statushub"),
    );
    const keys = h(
      "button",
      { type: "button", class: "quiet keys-button", title: t("keys"), "aria-label": t("keys"), on: { click: help } },
      "?",
    );
    document.body.append(
      h("a", { class: "skip", href: "#main" }, t("skip")),
      h("header", { class: "masthead" }, brand, this.#crumbs, this.#connection.element, keys, this.#signOut),
      this.#signIn.element,
      this.#main,
      this.toasts.element,
      this.#announcer,
    );
    this.session.addEventListener("in", () => this.#retry());
    // The page is loaded again, so that nothing it showed remains.
    this.session.addEventListener("out", () => location.reload());
    document.addEventListener("click", (event) => this.#clicked(event));
    addEventListener("popstate", () => this.#open());
    addEventListener("hashchange", () => this.#linked());
    setInterval(() => document.hidden || this.#view?.tick(), TICK_MS);
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      this.unseen = false;
      this.#view?.tick();
    });
    listen({
      search: () => this.#view?.search ?? null,
      move: (by) => this.#view?.move(by) ?? false,
      enter: () => this.#view?.enter?.() ?? this.#view?.move(1) ?? false,
      select: () => this.#view?.select() ?? false,
      back: () => this.#view?.back(),
    });
    this.clock.ask();
  }

  /** Opens the page that the address names. */
  async start() {
    if (!(await this.#linked())) this.#open();
    if (/** @type {HTMLMetaElement | null} */ (document.querySelector('meta[name="documents"]'))?.content)
      this.#showCounts();
  }

  /** The progress of document counts, for those who may read it. */
  async #showCounts() {
    const { said } = await this.session.ask("jobs");
    if (!said?.may?.read) return;
    const { banner } = await import("../documents/banner.js");
    document.head.append(h("link", { rel: "stylesheet", href: "assets/documents/banner.css" }));
    document.body.prepend(banner());
  }

  /** @param {string} address  of another page of the dashboard */
  go(address) {
    history.pushState(null, "", address);
    this.#open();
    scrollTo(0, 0);
  }

  /**
   * The connection of the page that is open has changed.
   * @param {{ state: any, reason: string | null, problem?: { status: number } | null, ready?: boolean }} source
   */
  connected(source) {
    const { state, reason } = source;
    this.#connection.show(state, reason, source.ready);
    if (state === "refused") {
      this.session.required = true;
      this.#signIn.show(reason ?? "");
    } else if (source.ready && (state === "live" || state === "polling")) this.#signIn.accept();
    hide(this.#signOut, !this.session.required || this.#signIn.shown);
  }

  /**
   * What has ended is announced to screen readers: progress would be announced every second. A failure in a hidden
   * tab is shown by its title and icon.
   * @param {import("./board.js").Item[]} items
   */
  announceEnded(items) {
    if (!items.length) return;
    this.unseen ||= document.hidden && items.some(({ phase }) => phase === "failed");
    const [{ data, id, phase }] = items;
    const one = () => t("ended", { title: titleOf(data) || id, phase: t(`phase_${phase}`) });
    this.#announce(items.length === 1 ? one() : t("endedCount", { n: items.length }));
  }

  /**
   * Removes contents, unless that is undone.
   * @param {Feed} feed
   * @param {string[]} ids
   */
  remove(feed, ids) {
    const { channel } = feed;
    const hidden = this.#hiddenIn(channel);
    const back = () => {
      for (const id of ids) hidden.delete(id);
      this.#feed?.board.moved();
      this.#view?.tick();
    };
    for (const id of ids) hidden.add(id);
    const removal = new Removal(channel, ids, (problem) => {
      away();
      // What was removed is told by the stream; what was not is shown again.
      if (!problem) return;
      back();
      this.toasts.show(problem);
    });
    const undo = () => {
      removal.undo();
      back();
      this.toasts.show(t("restored", { n: ids.length }));
    };
    const away = this.toasts.show(t("removed", { n: ids.length }), { label: t("undo"), act: undo });
    feed.board.moved();
    this.#view?.tick();
  }

  /** @param {string} channel */
  #hiddenIn(channel) {
    const hidden = this.#hidden.get(channel) ?? new Set();
    this.#hidden.set(channel, hidden);
    return hidden;
  }

  #open() {
    const place = placeOf(location.search);
    this.#view?.close();
    /** @type {View} */
    const view = (this.#view = place.page === "overview" ? this.#overview(place) : this.#channel(place));
    this.#showCrumbs(place);
    this.#main.replaceChildren(view.element);
    view.opened();
    document.body.dataset.page = place.page;
    this.connected(view.connection ?? this.#feed);
    this.session.ask().then(({ status, reason }) => {
      if (status === 401) this.#signIn.show(reason);
      hide(this.#signOut, !this.session.required || this.#signIn.shown);
    });
  }

  /** @param {import("./address.js").Place} place */
  #overview(place) {
    this.#leaveFeed();
    return new Overview(this, place);
  }

  /** @param {import("./address.js").Place} place */
  #channel(place) {
    const feed = this.#followed(place);
    return place.page === "content" ? new ContentView(this, place, feed) : new ChannelView(this, place, feed);
  }

  /**
   * The feed of a channel, which the pages of its contents share.
   * @param {import("./address.js").Place} place
   * @returns {Feed}
   */
  #followed(place) {
    const { channel, types } = place;
    const before = this.#feed;
    if (before && before.channel === channel && String(before.types) === String(types)) return before;
    this.#leaveFeed();
    const feed = (this.#feed = new Feed(place, this, this.#hiddenIn(channel)));
    feed.addEventListener("state", () => feed === this.#feed && this.connected(feed));
    return feed;
  }

  #leaveFeed() {
    this.#feed?.close();
    this.#feed = null;
  }

  /** @param {import("./address.js").Place} place */
  #showCrumbs({ channel, content, types, page }) {
    const crumbs = [h("a", { href: addressOf({}) }, t("overview"))];
    if (channel) crumbs.push(h("a", { href: addressOf({ channel, types }), dir: "auto" }, channel));
    if (content) crumbs.push(h("span", { dir: "auto" }, content));
    mark(crumbs.at(-1), "aria-current", "page");
    hide(this.#crumbs, page === "overview");
    this.#crumbs.replaceChildren(...crumbs);
  }

  /**
   * A click with a key, or with another button, is the browser's own: a new tab, a download.
   * @param {MouseEvent} event
   */
  #clicked(event) {
    const target = event.target instanceof Element ? event.target : null;
    const link = /** @type {HTMLAnchorElement | null | undefined} */ (target?.closest("a[href]"));
    const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (!link || !plain || event.defaultPrevented || link.target) return;
    const { origin, pathname, search, hash } = new URL(link.href);
    if (origin !== location.origin || pathname !== location.pathname || hash) return;
    event.preventDefault();
    this.go(search || "./");
  }

  // Signing in and out

  /** @returns {Promise<boolean>} whether a link's token was given, and the page is open */
  async #linked() {
    const token = takeToken();
    if (!token) return false;
    const { status, said } = await this.session.ask();
    // A link of another person would otherwise change the identity of all tabs.
    const known = status === 200 && said?.required;
    const question = { title: t("otherToken"), text: t("otherTokenText"), yes: t("otherTokenYes") };
    const refused = known && !(await confirmed(question)) ? "" : await this.session.signIn(token);
    if (!this.#view) this.#open();
    if (refused) this.toasts.show(t("linkRefused", { reason: refused }));
    return true;
  }

  #retry() {
    this.#view?.retry?.();
    this.#feed?.retry();
  }

  async #leave() {
    const complaint = await this.session.signOut();
    if (complaint) say(this.#signOut, t("stillSignedIn"));
    else location.reload();
  }

  /** @param {string} text */
  #announce(text) {
    this.#announcer.textContent = text;
  }
}

new App().start();
