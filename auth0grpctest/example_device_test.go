package auth0grpctest_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"golang.org/x/oauth2"
)

// exampleLogin is the application of the examples, a program on a command line. It
// is public, and has a context for the tenant's certificate.
func exampleLogin(tenant *auth0grpctest.Tenant) (context.Context, *oauth2.Config) {
	tenant.AddClient("cli", "", map[string][]string{auth0grpctest.Audience: {"read:msg"}})
	return context.WithValue(context.Background(), oauth2.HTTPClient, tenant.HTTPClient()), &oauth2.Config{
		ClientID: "cli",
		Scopes:   []string{"read:msg"},
		Endpoint: oauth2.Endpoint{
			DeviceAuthURL: tenant.Issuer() + "oauth/device/code",
			TokenURL:      tenant.TokenURL(),
			AuthStyle:     oauth2.AuthStyleInParams,
		},
	}
}

// A user logs in on another device: the test acts in the user's place.
func ExampleTenant_ApproveDevice() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	ctx, config := exampleLogin(tenant)

	device, err := config.DeviceAuth(ctx, oauth2.SetAuthURLParam("audience", auth0grpctest.Audience))
	if err != nil {
		log.Fatal(err)
	}
	// The program shows device.VerificationURI and device.UserCode, and the user
	// enters the code there and consents.
	tenant.ApproveDevice(device.UserCode)

	token, err := config.DeviceAccessToken(ctx, device)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Type(), token.Extra("scope"))
	// Output: Bearer read:msg
}

// A user refuses, of which the program hears when it asks for the token.
func ExampleTenant_DenyDevice() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	ctx, config := exampleLogin(tenant)

	device, err := config.DeviceAuth(ctx, oauth2.SetAuthURLParam("audience", auth0grpctest.Audience))
	if err != nil {
		log.Fatal(err)
	}
	tenant.DenyDevice(device.UserCode)

	_, err = config.DeviceAccessToken(ctx, device)
	if refusal := new(oauth2.RetrieveError); errors.As(err, &refusal) {
		fmt.Println(refusal.ErrorCode, "-", refusal.ErrorDescription)
	}
	// Output: access_denied - The user refused to authorize the device.
}

// Where the user code stays inside the program under test, every login is approved
// without it.
func ExampleTenant_AutoApproveDevices() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	ctx, config := exampleLogin(tenant)
	tenant.AutoApproveDevices(1)

	login := func() (*oauth2.Token, error) { // of the program under test
		device, err := config.DeviceAuth(ctx, oauth2.SetAuthURLParam("audience", auth0grpctest.Audience))
		if err != nil {
			return nil, err
		}
		return config.DeviceAccessToken(ctx, device)
	}
	token, err := login()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Type(), token.Extra("scope"))
	// Output: Bearer read:msg
}
