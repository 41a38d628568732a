//! Owns a real browser: Chromium without a window, with a folder of its own, and the driver of the same package, which
//! presses its keys and its buttons as WebDriver says. What it looks for, it looks for in the accessibility tree: by role
//! and by name, as who uses a screen reader does.
//!
//! The driver is spoken to in its own HTTP and JSON: the ready clients bring some thirty crates, and what they know of
//! Chromium's own commands is less than this needs. https://www.w3.org/TR/webdriver2/

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::harness::binaries::repository;
use crate::harness::cast::SOON;
use crate::harness::process::{Process, signal};
use crate::harness::wait::poll;
use crate::harness::{ControlPlane, eventually};

const CHROMIUM: &str = "/usr/bin/chromium";
const DRIVER: &str = "/usr/bin/chromedriver";
/// How often a browser is started that does not come up, and how long each step of that may take.
const STARTS: usize = 3;
const UP: Duration = Duration::from_secs(30);
/// How many were started: each has a name and a folder of its own.
static STARTED: AtomicUsize = AtomicUsize::new(0);
/// Nothing that the driver is asked takes longer: it waits for pages to load.
const CALL: Duration = Duration::from_secs(90);
/// How the driver names an element in JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Where an element is marked for the driver that was found in the accessibility tree.
const MARK: &str = "data-trial";
/// What may be filled in, by its role.
const FIELDS: [&str; 5] = ["textbox", "searchbox", "combobox", "spinbutton", "Date"];

/// Keys as WebDriver names them.
pub const TAB: &str = "\u{e004}";
pub const ENTER: &str = "\u{e007}";
pub const SPACE: &str = " ";
pub const ESCAPE: &str = "\u{e00c}";
const CONTROL: &str = "\u{e009}";
const RELEASE: &str = "\u{e000}";

/// Why there is no browser here, if there is none.
pub fn is_missing() -> Option<&'static str> {
    let there = Path::new(CHROMIUM).exists() && Path::new(DRIVER).exists();
    (!there).then_some("this machine has no browser: install Debian's chromium and chromium-driver")
}

/// A browser with one page open.
pub struct Chromium {
    session: String,
    calls: Client<HttpConnector, Full<hyper::body::Bytes>>,
    driver: Process,
    browser: Process,
    /// All that it keeps.
    folder: PathBuf,
}

impl Chromium {
    /// Starts the browser of somebody. On a machine where all else is busy, one of them does not come up now and then.
    pub async fn start(control_plane: &ControlPlane, whose: &str) -> Self {
        let mut failed = Vec::new();
        for _ in 0..STARTS {
            match Self::try_start(control_plane, whose).await {
                Ok(browser) => return browser,
                Err(why) => failed.push(why),
            }
        }
        panic!("the browser of {whose} does not come up: {failed:?}");
    }

    async fn try_start(control_plane: &ControlPlane, whose: &str) -> Result<Self, String> {
        let (dir, nth) = (control_plane.dir(), STARTED.fetch_add(1, Ordering::Relaxed));
        let folder = dir.join(format!("browser-{nth}-{whose}"));
        std::fs::create_dir_all(&folder).expect("make the folder of a browser");
        let home = folder.display().to_string();
        let env = [("HOME", home.as_str()), ("XDG_CONFIG_HOME", home.as_str()), ("XDG_CACHE_HOME", home.as_str())];
        let start = |name: &str, program: &str, args: &[String]| {
            Process::spawn(dir, &format!("{name}-{nth}-{whose}"), program.as_ref(), args, &env)
        };
        // Not started by the driver: then none of its processes would be in a group that the keeper ends.
        let browser = start("chromium", CHROMIUM, &flags(&folder));
        let driver = start("chromedriver", DRIVER, &["--port=0".to_owned()]);
        let calls = Client::builder(TokioExecutor::new()).build_http();
        let mut this = Self { session: String::new(), calls, driver, browser, folder };
        this.begin().await?;
        Ok(this)
    }

    async fn begin(&mut self) -> Result<(), String> {
        let port = poll(UP, async || {
            let log = self.driver.log();
            let port = log.split_once("started successfully on port ").and_then(|(_, rest)| rest.split_once('.'));
            match port {
                Some((port, _)) => ControlFlow::Break(port.to_owned()),
                None => ControlFlow::Continue(format!("the driver does not serve: {log}")),
            }
        })
        .await?;
        let debug = poll(UP, async || {
            let port = std::fs::read_to_string(self.folder.join("DevToolsActivePort")).unwrap_or_default();
            match port.lines().next() {
                Some(port) => ControlFlow::Break(port.to_owned()),
                None => ControlFlow::Continue(format!("the browser does not run: {}", self.browser.log_tail(20))),
            }
        })
        .await?;
        let capabilities = json!({ "alwaysMatch": {
            "goog:chromeOptions": { "debuggerAddress": format!("127.0.0.1:{debug}") },
            "timeouts": { "script": 80_000, "pageLoad": 80_000 }
        } });
        let driver = format!("http://127.0.0.1:{port}/session");
        self.session.clone_from(&driver);
        let beginning = self.ask("POST", "", Some(json!({ "capabilities": capabilities })));
        let begun = tokio::time::timeout(UP, beginning).await.map_err(|_| "no session begins".to_owned())??;
        self.session = format!("{driver}/{}", begun["sessionId"].as_str().ok_or("no session")?);
        Ok(())
    }

    /// What the driver answers.
    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value, String> {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let call = http::Request::builder().method(method).uri(format!("{}{path}", self.session));
        let call = call.header("Content-Type", "application/json").body(Full::from(body)).expect("a call");
        let answered = async {
            let answer = self.calls.request(call).await.map_err(|error| error.to_string())?;
            answer.into_body().collect().await.map_err(|error| error.to_string())
        };
        let answer = tokio::time::timeout(CALL, answered).await.map_err(|_| format!("{path}: no answer"))??;
        let answer: Value = serde_json::from_slice(&answer.to_bytes()).map_err(|error| error.to_string())?;
        let value = answer["value"].clone();
        match value["error"].as_str() {
            Some(error) => Err(format!("{path}: {error}: {}", value["message"].as_str().unwrap_or_default())),
            None => Ok(value),
        }
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value, String> {
        self.ask("POST", path, Some(body)).await
    }

    /// One of Chromium's own commands. https://chromedevtools.github.io/devtools-protocol/
    pub async fn command(&self, name: &str, params: Value) -> Result<Value, String> {
        self.post("/goog/cdp/execute", json!({ "cmd": name, "params": params })).await
    }

    /// Opens a URL.
    pub async fn open(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await.expect("open a URL");
    }

    /// Where it is.
    pub async fn url(&self) -> String {
        self.ask("GET", "/url", None).await.expect("the URL").as_str().unwrap_or_default().to_owned()
    }

    /// Has the body of a function of JavaScript run.
    pub async fn run(&self, script: &str, args: Value) -> Value {
        self.try_run(script, args).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    async fn try_run(&self, script: &str, args: Value) -> Result<Value, String> {
        self.post("/execute/sync", json!({ "script": script, "args": args })).await
    }

    /// The same of one that calls its last argument with what it found.
    pub async fn run_until_called(&self, script: &str, args: Value) -> Value {
        let ran = self.post("/execute/async", json!({ "script": script, "args": args })).await;
        ran.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Every word that is shown.
    pub async fn text(&self) -> String {
        let text = self.try_run("return document.body.innerText", json!([])).await;
        text.map_or_else(|error| error, |text| text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until it shows these words.
    pub async fn until_shows(&self, words: &str) {
        eventually(&format!("the page shows {words:?}"), SOON, async || {
            let text = self.text().await;
            if text.contains(words) { Ok(()) } else { Err(text) }
        })
        .await;
    }

    /// Waits until there is no element of this role and name.
    pub async fn until_gone(&self, role: &str, name: &str) {
        eventually(&format!("the {role} {name:?} is gone"), SOON, async || {
            if self.has(role, name).await { Err("it is there".to_owned()) } else { Ok(()) }
        })
        .await;
    }

    /// Whether what has this role and name can be used.
    pub async fn is_enabled(&self, role: &str, name: &str) -> bool {
        let Ok(element) = self.seek(&[role], name).await else { return false };
        self.ask("GET", &format!("/element/{element}/enabled"), None).await == Ok(json!(true))
    }

    /// What stands in the field of this name.
    pub async fn value(&self, name: &str) -> String {
        let Ok(element) = self.seek(&FIELDS, name).await else { return format!("no field {name}") };
        let value = self.ask("GET", &format!("/element/{element}/property/value"), None).await;
        value.map_or_else(|error| error, |value| value.as_str().unwrap_or_default().to_owned())
    }

    /// Every word of the dialog that is open.
    pub async fn dialog(&self) -> String {
        let text = self.run("return document.querySelector('dialog')?.innerText ?? ''", json!([])).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Opens another tab, and goes there.
    pub async fn new_tab(&self) {
        let tab = self.post("/window/new", json!({ "type": "tab" })).await.expect("open a tab");
        self.post("/window", json!({ "handle": tab["handle"] })).await.expect("go to the tab");
    }

    /// Goes back to the first tab.
    pub async fn first_tab(&self) {
        let tabs = self.ask("GET", "/window/handles", None).await.expect("the tabs");
        self.post("/window", json!({ "handle": tabs[0] })).await.expect("go to the tab");
    }

    /// Has the page be as it is on paper, or on a screen again.
    pub async fn medium(&self, medium: &str) {
        self.command("Emulation.setEmulatedMedia", json!({ "media": medium })).await.expect("set the medium");
    }

    /// Forgets every cookie.
    pub async fn forget_cookies(&self) {
        self.ask("DELETE", "/cookie", None).await.expect("forget the cookies");
    }

    /// The element of this role whose name is this one, or begins with what stands before `…`. It must be the only one.
    async fn seek(&self, roles: &[&str], name: &str) -> Result<String, String> {
        let document = self.command("Runtime.evaluate", json!({ "expression": "document" })).await?;
        let mut query = json!({ "objectId": document["result"]["objectId"] });
        if let [role] = roles {
            query["role"] = json!(role);
        } else {
            query["accessibleName"] = json!(name);
        }
        let found = self.command("Accessibility.queryAXTree", query).await?;
        let nodes = found["nodes"].as_array().ok_or("no nodes")?;
        let seen = nodes.iter().filter(|node| node["ignored"] != true);
        let mut names = Vec::new();
        let mut fitting = Vec::new();
        for node in seen {
            let (role, named) = (&node["role"]["value"], node["name"]["value"].as_str().unwrap_or_default());
            if roles.iter().any(|wanted| role == wanted) && fits(named, name) {
                fitting.push(node["backendDOMNodeId"].clone());
            }
            names.push(named);
        }
        match &fitting[..] {
            [one] => self.marked(one).await,
            [] => Err(format!("no {roles:?} is named {name:?}; there are {names:?}")),
            more => Err(format!("{} of {roles:?} are named {name:?}", more.len())),
        }
    }

    /// An element of the accessibility tree, as the driver knows elements.
    async fn marked(&self, node: &Value) -> Result<String, String> {
        let object = self.command("DOM.resolveNode", json!({ "backendNodeId": node })).await?;
        let mark = "function (mark, number) { this.setAttribute(mark, number); }";
        let args = json!([{ "value": MARK }, { "value": node.to_string() }]);
        let call = json!({ "objectId": object["object"]["objectId"], "functionDeclaration": mark, "arguments": args });
        self.command("Runtime.callFunctionOn", call).await?;
        let css = format!("[{MARK}='{node}']");
        let element = self.post("/element", json!({ "using": "css selector", "value": css })).await?;
        Ok(element[ELEMENT].as_str().unwrap_or_default().to_owned())
    }

    async fn sought(&self, roles: &[&str], name: &str) -> String {
        let what = format!("there is a {roles:?} named {name:?}");
        eventually(&what, SOON, async || self.seek(roles, name).await).await
    }

    /// Whether there is an element of this role and name.
    pub async fn has(&self, role: &str, name: &str) -> bool {
        self.seek(&[role], name).await.is_ok()
    }

    /// Waits until there is an element of this role and name.
    pub async fn until_there(&self, role: &str, name: &str) {
        self.sought(&[role], name).await;
    }

    /// Waits until there is a field of this name.
    pub async fn until_there_to_fill(&self, name: &str) {
        self.sought(&FIELDS, name).await;
    }

    /// Presses what has this role and name with the mouse, once it is there and can be pressed.
    pub async fn press(&self, role: &str, name: &str) {
        eventually(&format!("the {role} {name:?} can be pressed"), SOON, async || {
            let element = self.seek(&[role], name).await?;
            let enabled = self.ask("GET", &format!("/element/{element}/enabled"), None).await?;
            if enabled != true {
                return Err("it is disabled".to_owned());
            }
            self.post(&format!("/element/{element}/click"), json!({})).await
        })
        .await;
    }

    /// Writes into the field of this name, in place of what stands there.
    pub async fn fill(&self, name: &str, text: &str) {
        let element = self.sought(&FIELDS, name).await;
        let keys = format!("{CONTROL}a{RELEASE}{text}");
        self.post(&format!("/element/{element}/value"), json!({ "text": keys })).await.expect("type");
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub async fn keys(&self, keys: &str) {
        let press = |key: char| {
            let key = key.to_string();
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        };
        let actions: Vec<Value> = keys.chars().flat_map(press).collect();
        let keyboard = json!([{ "type": "key", "id": "keyboard", "actions": actions }]);
        self.post("/actions", json!({ "actions": keyboard })).await.expect("press keys");
    }

    /// Role and name of what has the focus.
    pub async fn focus(&self) -> (String, String) {
        let Ok(active) = self.ask("GET", "/element/active", None).await else { return Default::default() };
        let element = active[ELEMENT].as_str().unwrap_or_default();
        let text = |value: Result<Value, String>| value.map(|text| text.as_str().unwrap_or_default().to_owned());
        let role = text(self.ask("GET", &format!("/element/{element}/computedrole"), None).await);
        let label = text(self.ask("GET", &format!("/element/{element}/computedlabel"), None).await);
        (role.unwrap_or_default(), label.unwrap_or_default())
    }

    /// Goes from one thing to the next with the key for that, until the focus is on what has this name.
    pub async fn tab_to(&self, name: &str) {
        const MOST: usize = 120;
        let mut passed = Vec::new();
        for _ in 0..MOST {
            let (_, label) = self.focus().await;
            if fits(&label, name) {
                return;
            }
            passed.push(label);
            self.keys(TAB).await;
        }
        panic!("the key does not lead to {name:?}: {passed:?}");
    }

    /// Makes the window this large, as a phone or a screen has it.
    pub async fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", size).await.expect("set the size");
    }

    /// The same with more points than pixels, to be drawn sharply.
    pub async fn resize_sharp(&self, (width, height): (u32, u32)) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1.5, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", size).await.expect("set the size");
    }

    /// What the window shows, as WebP.
    pub async fn drawn(&self) -> Vec<u8> {
        let how = json!({ "format": "webp", "quality": 82 });
        let drawn = self.command("Page.captureScreenshot", how).await.expect("a picture");
        BASE64_STANDARD.decode(drawn["data"].as_str().unwrap_or_default()).expect("a picture in base64")
    }

    /// Has the system of the browser be light or dark.
    pub async fn system_theme(&self, theme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.command("Emulation.setEmulatedMedia", features).await.expect("set the theme");
    }

    /// Draws what the window shows into target/e2e.
    pub async fn picture(&self, name: &str) -> PathBuf {
        let drawn = self.ask("GET", "/screenshot", None).await.expect("a picture");
        let drawn = BASE64_STANDARD.decode(drawn.as_str().unwrap_or_default()).expect("a picture in base64");
        let file = repository().join(format!("target/e2e/page-{name}.png"));
        std::fs::write(&file, drawn).expect("write a picture");
        file
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Their helpers too, which are processes of their own.
        for leader in [&self.driver, &self.browser] {
            signal("KILL", &format!("-{}", leader.pid()));
        }
        for process in [&mut self.driver, &mut self.browser] {
            process.kill();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn fits(name: &str, wanted: &str) -> bool {
    wanted.strip_suffix('…').map_or(name == wanted, |start| name.starts_with(start))
}

/// None of it matters for the page: a folder of its own, no window, and no call to anybody else.
fn flags(folder: &Path) -> Vec<String> {
    let fixed = [
        "--headless",
        // The sandbox needs what containers forbid, and nothing but the own page is opened.
        "--no-sandbox",
        "--remote-debugging-port=0",
        "--window-size=1280,900",
        "--lang=en-GB",
        "--no-first-run",
        "--no-default-browser-check",
        "--no-proxy-server",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-extensions",
        "--disable-sync",
        "--disable-breakpad",
        "--disable-background-networking",
        // A page that nobody sees is slowed down, and of two windows on no screen one may count as unseen.
        "--disable-renderer-backgrounding",
        "--disable-background-timer-throttling",
        "--disable-backgrounding-occluded-windows",
        "--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider",
        "--disable-default-apps",
        "--mute-audio",
        "--disable-component-update",
        "--password-store=basic",
    ];
    let folder = format!("--user-data-dir={}", folder.display());
    fixed.into_iter().map(str::to_owned).chain([folder, "about:blank".to_owned()]).collect()
}
