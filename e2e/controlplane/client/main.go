// A program of client-go, as operators of clusters write them: it marks what is there. Trials run it in place of kubectl.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const mark = `{"metadata":{"labels":{"marked":"true"}}}`

func main() {
	overrides := &clientcmd.ConfigOverrides{}
	flag.StringVar(&overrides.Context.Namespace, "n", "", "namespace")
	selector := flag.String("l", "", "labels of the ConfigMaps that are marked")
	flag.Parse()
	if err := markAll(overrides, *selector); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func markAll(overrides *clientcmd.ConfigOverrides, selector string) error {
	loaded := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), overrides)
	config, err := loaded.ClientConfig()
	if err != nil {
		return err
	}
	namespace, _, err := loaded.Namespace()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	maps := client.CoreV1().ConfigMaps(namespace)
	found, err := maps.List(context.Background(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return err
	}
	for _, one := range found.Items {
		if _, err := maps.Patch(context.Background(), one.Name, types.MergePatchType, []byte(mark), metav1.PatchOptions{}); err != nil {
			return err
		}
		fmt.Println(one.Name)
	}
	return nil
}
