# Terraform logs in as the workflow does, by the same program. Access is asked for around it:
#
#   ci/with-access.sh shop edit "terraform apply" terraform apply -auto-approve
provider "kubernetes" {
  host                   = var.cluster_url
  cluster_ca_certificate = var.cluster_ca
  exec {
    api_version = "client.authentication.k8s.io/v1"
    command     = "${path.module}/ci/github-login.sh"
    args        = ["kubernetes"]
  }
}

variable "cluster_url" { type = string }
variable "cluster_ca" { type = string }
