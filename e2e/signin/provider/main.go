// Command provider is a small OpenID provider for the trials of the page's sign-in: authorization code with PKCE, refresh
// tokens and end of session, by github.com/zitadel/oidc and the storage in memory that it has for examples.
//
// One file names its people, its clients and where it listens. Nobody stays signed in here: each authorization asks for the
// password. It must not be run for anybody but trials.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"html/template"
	"log"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// What the file says.
type settings struct {
	Issuer      string
	Listen      string
	Certificate string
	Key         string
	Clients     []client
	People      people
}

// An application that people sign in to.
type client struct {
	ID        string
	Secret    string
	Redirects []string
	// How long its ID tokens are good.
	TokenSeconds int
	// Whether each refresh token is taken once, and a new one given for it.
	RefreshOnce bool
}

// Somebody with a password.
type person struct {
	ID       string
	Email    string
	Password string
	Groups   []string
}

type people []person

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: provider FILE")
	}
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var is settings
	if err := json.Unmarshal(text, &is); err != nil {
		log.Fatalf("%s: %v", os.Args[1], err)
	}
	log.Fatal(http.ListenAndServeTLS(is.Listen, is.Certificate, is.Key, served(is)))
}

// All that is answered.
func served(is settings) http.Handler {
	store := newStore(is)
	config := &op.Config{
		CodeMethodS256:           true,
		GrantTypeRefreshToken:    true,
		DefaultLogoutRedirectURI: "/signed-out",
	}
	if _, err := rand.Read(config.CryptoKey[:]); err != nil {
		log.Fatal(err)
	}
	provider, err := op.NewProvider(config, store, op.StaticIssuer(is.Issuer))
	if err != nil {
		log.Fatal(err)
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /signed-out", func(answer http.ResponseWriter, _ *http.Request) {
		_, _ = answer.Write([]byte("signed out"))
	})
	routes.HandleFunc("GET /login", func(answer http.ResponseWriter, request *http.Request) {
		show(answer, request.FormValue("id"), "")
	})
	back := op.AuthCallbackURL(provider)
	checked := func(answer http.ResponseWriter, request *http.Request) {
		id := request.PostFormValue("id")
		err := store.CheckUsernamePassword(request.PostFormValue("email"), request.PostFormValue("password"), id)
		if err != nil {
			show(answer, id, err.Error())
			return
		}
		http.Redirect(answer, request, back(request.Context(), id), http.StatusFound)
	}
	issuer := op.NewIssuerInterceptor(provider.IssuerFromRequest)
	routes.HandleFunc("POST /login", issuer.HandlerFunc(checked))
	routes.Handle("/", provider)
	return routes
}

var form = template.Must(template.New("login").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in</title></head><body>
<form method="post" action="/login"><input type="hidden" name="id" value="{{.ID}}">
<label>Email <input name="email" autocomplete="username"></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<p>{{.Wrong}}</p><button>Sign in</button></form></body></html>`))

func show(answer http.ResponseWriter, id, wrong string) {
	answer.Header().Set("Content-Type", "text/html; charset=utf-8")
	if wrong != "" {
		answer.WriteHeader(http.StatusUnauthorized)
	}
	_ = form.Execute(answer, struct{ ID, Wrong string }{id, wrong})
}

// The storage of the library's example, with people and clients of our own.
type store struct {
	*storage.Storage
	clients map[string]client
	people  people
}

func newStore(is settings) *store {
	inner, own := map[string]*storage.Client{}, map[string]client{}
	for _, one := range is.Clients {
		inner[one.ID] = storage.WebClient(one.ID, one.Secret, one.Redirects...)
		own[one.ID] = one
	}
	return &store{storage.NewStorageWithClients(is.People, inner), own, is.People}
}

func (s *store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	inner, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return shortLived{inner, s.clients[id]}, nil
}

func (s *store) SetUserinfoFromRequest(
	ctx context.Context, info *oidc.UserInfo, request op.IDTokenRequest, scopes []string,
) error {
	for _, person := range s.people {
		// As with real providers, who does not ask for it is not told.
		if person.ID == request.GetSubject() && slices.Contains(scopes, "groups") {
			info.AppendClaims("groups", person.Groups)
		}
	}
	return s.Storage.SetUserinfoFromRequest(ctx, info, request, scopes)
}

// A refresh token that may be used again stays the same.
func (s *store) CreateAccessAndRefreshTokens(
	ctx context.Context, request op.TokenRequest, current string,
) (string, string, time.Time, error) {
	asked, isRefresh := request.(op.RefreshTokenRequest)
	if !isRefresh || current == "" || s.clients[asked.GetClientID()].RefreshOnce {
		return s.Storage.CreateAccessAndRefreshTokens(ctx, request, current)
	}
	token, ends, err := s.Storage.CreateAccessToken(ctx, request)
	return token, current, ends, err
}

// A client of the storage, whose ID tokens say who somebody is, and not for long.
type shortLived struct {
	op.Client
	client client
}

func (c shortLived) IsScopeAllowed(scope string) bool {
	return scope == "groups" || c.Client.IsScopeAllowed(scope)
}

func (c shortLived) LoginURL(id string) string { return "/login?id=" + id }

func (c shortLived) IDTokenLifetime() time.Duration {
	return time.Duration(c.client.TokenSeconds) * time.Second
}

// API servers look at nothing but the ID token.
func (c shortLived) IDTokenUserinfoClaimsAssertion() bool { return true }

// GetUserByID finds somebody as the storage wants them.
func (all people) GetUserByID(id string) *storage.User {
	return all.find(func(one person) bool { return one.ID == id })
}

// GetUserByUsername finds somebody by what they sign in with.
func (all people) GetUserByUsername(email string) *storage.User {
	return all.find(func(one person) bool { return one.Email == email })
}

// ExampleClientID is asked for by the storage, and used by nobody.
func (all people) ExampleClientID() string { return "" }

func (all people) find(is func(person) bool) *storage.User {
	for _, one := range all {
		if is(one) {
			return &storage.User{
				ID: one.ID, Username: one.Email, Password: one.Password, Email: one.Email, EmailVerified: true,
			}
		}
	}
	return nil
}
